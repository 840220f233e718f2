package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
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

// withdrawals take something away that the policy refers to.
func (f *fixtures) withdrawals() []tightening {
	const name = "api"
	trusted := strings.Replace(f.trusted, "name: ca}", "name: bundle}", 1)
	leaf := policy(name, f.pinnedOnly(), options("trusted-certificates", "configmap/leaf:ca.crt"))
	lists := policy(name, trusted, options("crl", "configmap/lists"))
	roots := strings.Replace(configMap("system-roots", f.ca.PEM()), "name: system-roots}",
		"name: system-roots, namespace: backendtls-system}", 1)
	return []tightening{
		{
			name:   "one of two CAs is removed",
			before: configMap("bundle", append(f.other.PEM(), f.ca.PEM()...)) + policy(name, trusted, nil),
			after:  configMap("bundle", f.other.PEM()) + policy(name, trusted, nil),
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
		{
			name:   "the certificate is revoked",
			before: configMap("bundle", f.ca.PEM()) + f.lists() + lists,
			after:  configMap("bundle", f.ca.PEM()) + f.lists(f.good) + lists,
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
		{
			name:   "a trusted certificate is replaced",
			before: configMap("leaf", f.good.PEM()) + leaf,
			after:  configMap("leaf", f.self.PEM()) + leaf,
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
		{
			name:   "the system roots change",
			before: roots + policy(name, f.system(), nil),
			after:  strings.Replace(roots, fmt.Sprintf("%q", f.ca.PEM()), fmt.Sprintf("%q", f.other.PEM()), 1) + policy(name, f.system(), nil),
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
		{
			name:   "a trust bundle changes",
			before: trustBundle(f.ca.PEM()) + policy(name, f.bundled(), nil),
			after:  trustBundle(f.other.PEM()) + policy(name, f.bundled(), nil),
			want:   http.StatusServiceUnavailable, samePolicy: true,
		},
	}
}

func (f *fixtures) bundled() string {
	return strings.Replace(f.trusted, `group: "", kind: ConfigMap, name: ca`,
		"group: certificates.k8s.io, kind: ClusterTrustBundle, name: roots", 1)
}

func trustBundle(text []byte) string {
	return fmt.Sprintf(`
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: roots}
spec: {trustBundle: %q}
---
`, text)
}

// lists is a ConfigMap with the CA's revocation list.
func (f *fixtures) lists(revoked ...*pki.Identity) string {
	f.t.Helper()
	list, err := f.ca.CRL(pki.Revocation{
		ThisUpdate: f.now.Add(-time.Hour), NextUpdate: f.now.Add(time.Hour), Revoked: revoked,
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Replace(configMap("lists", list), "ca.crt:", "ca.crl:", 1)
}

func TestTighteningBitesKeptConnections(t *testing.T) {
	f := newFixtures(t)
	for _, tc := range append(f.tightenings(), f.withdrawals()...) {
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
