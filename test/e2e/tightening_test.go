package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// tightening is a change after which a backend that was answered over before
// must not be.
type tightening struct {
	name string
	// before and after are the manifests of policy and bundles; before is 200.
	before, after string
	want          int
	// samePolicy: the change is in another object, the policy keeps its
	// generation.
	samePolicy bool
}

func (f *fixtures) tightenings() []tightening {
	ca := configMap("bundle", f.ca.PEM())
	trusted := strings.Replace(f.trusted, "name: ca}", "name: bundle}", 1)
	const name = "api"
	return []tightening{
		{
			name:   "a pin is replaced",
			before: policy(name, f.pinnedOnly(), options("pins", f.key(f.good))),
			after:  policy(name, f.pinnedOnly(), options("pins", f.key(f.self))),
			want:   http.StatusServiceUnavailable,
		},
		{
			name:   "a mode is taken out",
			before: policy(name, f.system(), f.mode("InsecureSkipVerification")),
			after:  policy(name, f.system(), nil),
			want:   http.StatusServiceUnavailable,
		},
		{
			name:   "the bundle's CA is replaced",
			before: ca + policy(name, trusted, nil),
			after:  configMap("bundle", f.other.PEM()) + policy(name, trusted, nil),
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
		{
			name:   "the bundle is deleted",
			before: ca + policy(name, trusted, nil),
			after:  policy(name, trusted, nil),
			want:   http.StatusInternalServerError, samePolicy: true,
		},
		{
			name:   "the hostname changes",
			before: ca + policy(name, trusted, nil),
			after:  ca + policy(name, strings.Replace(trusted, f.host, "elsewhere.test", 1), nil),
			want:   http.StatusServiceUnavailable,
		},
		{
			name:   "the policy becomes invalid",
			before: ca + policy(name, trusted, nil),
			after:  ca + policy(name, trusted, options("pins", "nonsense")),
			want:   http.StatusInternalServerError,
		},
		{
			name:   "a pin is added to a CA",
			before: ca + policy(name, trusted, nil),
			after:  ca + policy(name, trusted, options("pins", f.key(f.self))),
			want:   http.StatusServiceUnavailable,
		},
	}
}

func TestTighteningBitesKeptConnections(t *testing.T) {
	f := newFixtures(t)
	for _, tc := range f.tightenings() {
		t.Run(strings.ReplaceAll(tc.name, " ", "_"), func(t *testing.T) {
			w := newWorld(t)
			w.base(allowAll)
			w.write("service.yaml", service("api", "api.test", serve(t, f.good), "https"))
			w.write("policy.yaml", tc.before)
			w.start()
			w.eventually("200 before the change", func() bool {
				return w.programmed("api") && w.get("api.test") == http.StatusOK
			})
			tr := w.traffic("api.test")
			tr.both(w, time.Time{}, http.StatusOK)

			_, generation, _ := readStatus[gatewayv1.PolicyStatus](w, "BackendTLSPolicy", "api")
			w.write("policy.yaml", tc.after)
			changed := time.Now()
			bound := changed.Add(time.Second)
			if !tc.samePolicy {
				w.eventually("programmed at the new generation", func() bool {
					condition := w.policyCondition("api", "Programmed")
					return condition.Status == "True" && condition.ObservedGeneration > generation
				})
				if now := time.Now(); now.Before(bound) {
					bound = now
				}
			}
			tr.both(w, bound, tc.want)
			tr.none(t, bound, http.StatusOK, fmt.Sprintf("the change was in force, %s after it was made", bound.Sub(changed)))
			tr.end()
		})
	}
}

func TestLosingThePolicyNeverLeaksPlaintext(t *testing.T) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(allowAll)
	w.write("service.yaml", service("api", "api.test", serve(t, f.good), "https"))
	w.write("policy.yaml", policy("api", f.pinnedOnly(), options("pins", f.key(f.good))))
	w.start()
	w.eventually("200 at first", func() bool { return w.programmed("api") && w.get("api.test") == http.StatusOK })
	tr := w.traffic("api.test")
	tr.both(w, time.Time{}, http.StatusOK)
	w.write("policy.yaml", "# deleted\n")
	gone := time.Now().Add(time.Second)
	tr.both(w, gone, http.StatusInternalServerError)
	tr.none(t, gone, http.StatusOK, "the policy was deleted")
	w.eventually("the route says so", func() bool {
		return w.routeCondition("api", "ResolvedRefs").Reason == "UnsupportedProtocol"
	})
}
