package metrics_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/metrics"
)

var (
	noon   = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	web    = gwapi.KeyOf(gwapi.KindGateway, "edge", "web")
	policy = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", "api")
	api    = gwapi.KeyOf(gwapi.KindService, "shop", "api")
)

// stage is a Witness whose clock and leadership the test has.
type stage struct {
	t *testing.T
	*metrics.Witness
	now     time.Time
	leading bool
	gather  *prometheus.Registry
	probed  map[model.ProbeKey]model.Probed
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, now: noon, leading: true, gather: prometheus.NewRegistry()}
	s.Witness = metrics.New(metrics.Config{
		Leading: func() bool { return s.leading }, Now: func() time.Time { return s.now },
		Probed: func() map[model.ProbeKey]model.Probed { return s.probed },
	})
	s.gather.MustRegister(s.Collectors()...)
	return s
}

// series are those whose name begins so, as "name{values} value".
func (s *stage) series(prefix string) []string {
	s.t.Helper()
	families, err := s.gather.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), prefix) {
			continue
		}
		for _, m := range family.GetMetric() {
			var values []string
			for _, label := range m.GetLabel() {
				values = append(values, label.GetName()+"="+label.GetValue())
			}
			all = append(all, fmt.Sprintf("%s{%s} %v", strings.TrimPrefix(family.GetName(), "backendtls_"),
				strings.Join(values, " "), m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	return all
}

func (s *stage) want(prefix string, want ...string) {
	s.t.Helper()
	if got := s.series(prefix); !slices.Equal(got, want) {
		s.t.Errorf("%s: got\n%s\nwant\n%s", prefix, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func standing(mode model.Mode) model.Standing {
	s := model.Standing{Policy: policy, Gateway: web, Mode: mode, Accepted: true}
	if mode.Insecure() {
		s.Since, s.Until = noon.Add(-time.Hour), noon.Add(time.Hour)
	}
	return s
}

func (s *stage) built(standings ...model.Standing) {
	s.Built(resolve.Result{Standings: standings}, snapshot.Observed{}, resolve.Whole, time.Millisecond)
}

func TestAPolicyCountsAsDegradedUntilAWriteThatWasUnderWayIsSeen(t *testing.T) {
	const (
		skipped = "policy_degraded{gateway=web gateway_namespace=edge mode=InsecureSkipVerification name=api namespace=shop} 1"
		strict  = "policy_degraded{gateway=web gateway_namespace=edge mode=Standard name=api namespace=shop} 0"
		since   = "policy_degraded_since_seconds{gateway=web gateway_namespace=edge name=api namespace=shop} 1.7952588e+09"
	)
	s := newStage(t)
	s.want("backendtls_policy_degraded")
	s.built(standing(model.Standard))
	s.want("backendtls_policy_degraded", strict)
	s.built(standing(model.InsecureSkipVerification))
	s.want("backendtls_policy_degraded", skipped, since)
	s.now = noon.Add(5 * time.Second)
	s.built(standing(model.Standard))
	s.want("backendtls_policy_degraded", skipped, since)
	s.now = noon.Add(7 * time.Second)
	s.want("backendtls_policy_degraded", strict)
	s.built(standing(model.Standard))
	s.want("backendtls_policy_degraded", strict)
	// A policy that is gone is gone at once.
	s.built(standing(model.InsecureSkipVerification))
	s.built()
	s.want("backendtls_policy_degraded")
}

func TestOnlyTheLeaderTellsAboutObjects(t *testing.T) {
	s := newStage(t)
	s.built(standing(model.InsecureSkipVerification))
	s.leading = false
	s.want("backendtls_policy")
	s.want("backendtls_gateway")
	s.want("backendtls_builds_total",
		"builds_total{result=partial} 0", "builds_total{result=waiting} 0", "builds_total{result=whole} 1")
}

func TestABuildThatIsNotWholeReplacesNothing(t *testing.T) {
	s := newStage(t)
	s.built(standing(model.InsecureSkipVerification))
	s.now = noon.Add(time.Hour)
	for _, outcome := range []resolve.Outcome{resolve.Waiting, resolve.Partial} {
		s.Built(resolve.Result{}, snapshot.Observed{}, outcome, time.Millisecond)
	}
	if got := s.series("backendtls_policy_degraded"); len(got) != 2 {
		t.Errorf("got %q", got)
	}
}

func TestTimesThatAreNotThereAreNoSeries(t *testing.T) {
	s := newStage(t)
	endless := standing(model.InsecureAllowExpired)
	endless.Until = time.Time{}
	s.built(endless)
	s.want("backendtls_policy_mode_until_seconds")
	s.want("backendtls_policy_crl_next_update_seconds")
	endless.RevocationEnds = noon
	s.built(endless)
	s.want("backendtls_policy_crl_next_update_seconds",
		"policy_crl_next_update_seconds{gateway=web gateway_namespace=edge name=api namespace=shop} 1.7952624e+09")
}

// backend is a port of a Service that is checked, or not.
func backend(protocol model.BackendProtocol, mode model.Mode, checked string) model.Backend {
	return model.Backend{
		Service: api, Port: 443, Protocol: protocol, Trust: &model.Trust{Policy: policy, Mode: mode}, Checked: checked,
	}
}

func TestWhatLiveChecksFoundIsCountedOncePerPort(t *testing.T) {
	s := newStage(t)
	key := model.ProbeKey{Service: api, Port: 443, Written: "w"}
	copies := backend(model.HTTP1, model.Standard, "w")
	copies.Mirror = true
	result := resolve.Result{Gateways: map[gwapi.Key]model.Gateway{web: {
		Key: web,
		Backends: []model.Backend{
			// One port in two protocols, and for copies, is one subject of the checks.
			copies,
			backend(model.HTTP1, model.Standard, "w"), backend(model.HTTP2, model.Standard, "w"),
			backend(model.HTTP1, model.Standard, ""),
		},
	}}}
	s.Built(result, snapshot.Observed{}, resolve.Whole, time.Second)
	s.want("backendtls_backend_")
	s.probed = map[model.ProbeKey]model.Probed{key: {
		Endpoints: 4, NotAfter: noon,
		Counts: []model.ProbeCount{{Result: "PinMismatch", Count: 1}, {Result: "Verified", Count: 2}},
	}}
	const on = "gateway=web gateway_namespace=edge name=api namespace=shop port=443"
	s.want("backendtls_backend_",
		"backend_certificate_not_after_seconds{"+on+" service=api} 1.7952624e+09",
		"backend_unchecked_endpoints{"+on+" service=api} 1",
		"backend_verification{"+on+" result=PinMismatch service=api} 1",
		"backend_verification{"+on+" result=Verified service=api} 2",
	)
	s.Built(resolve.Result{}, snapshot.Observed{}, resolve.Whole, time.Second)
	s.want("backendtls_backend_")
}

func TestEnvoysAndBackendsOfAGateway(t *testing.T) {
	s := newStage(t)
	has := map[gwapi.Key]string{web: "1", policy: "1"}
	insecure := backend(model.HTTP1, model.InsecureSkipVerification, "")
	copies := insecure
	copies.Mirror = true
	plain := model.Backend{Service: gwapi.KeyOf(gwapi.KindService, "shop", "plain"), Port: 80}
	result := resolve.Result{Gateways: map[gwapi.Key]model.Gateway{web: {
		Key: web, Shares: has, Unresolved: true,
		// While a mode begins, its port has a strict cluster and an insecure one, and one
		// more for copies.
		Backends: []model.Backend{backend(model.HTTP1, model.Standard, ""), insecure, copies, plain},
	}}}
	observed := snapshot.Observed{
		Envoys: map[gwapi.Key][]model.Envoy{web: {
			{Name: "a", Connected: true, Settled: has},
			{Name: "b", Connected: true, Settled: map[gwapi.Key]string{web: "1", policy: "0"}, Rejections: []model.Rejection{{}}},
			{Name: "c"},
		}},
		Fleet: map[gwapi.Key]string{web: "no quota"},
	}
	s.Built(result, observed, resolve.Whole, time.Second)
	const on = "gateway=web gateway_namespace=edge "
	s.want("backendtls_gateway_",
		"gateway_backends{"+on+"tls=plaintext} 1", "gateway_backends{"+on+"tls=verified} 0",
		"gateway_backends{"+on+"tls=weakened} 1",
		"gateway_envoys{"+on+"state=acknowledged} 1", "gateway_envoys{"+on+"state=connected} 2",
		"gateway_envoys{"+on+"state=expected} 3", "gateway_envoys{"+on+"state=refusing} 1",
		"gateway_fault{fault=fleet "+on[:len(on)-1]+"} 1", "gateway_fault{fault=parameters "+on[:len(on)-1]+"} 1",
		"gateway_fault{fault=translation "+on[:len(on)-1]+"} 0",
	)
}

func TestStreamsAreCountedByWhatCameOfThem(t *testing.T) {
	streams := metrics.NewStreams(
		func() map[gwapi.Key][]model.Envoy { return map[gwapi.Key][]model.Envoy{web: {{Connected: true}, {}}} },
		func() time.Time { return noon },
	)
	s := newStage(t)
	s.gather.MustRegister(streams.Collectors()...)
	streams.Published()
	for _, err := range []error{
		nil, errors.New("no peer"), status.Error(codes.Unauthenticated, "not an Envoy"),
		status.Error(codes.Unavailable, "the API server is away"),
	} {
		streams.Authenticated(err)
	}
	s.want("backendtls_xds_",
		"xds_authentications_total{result=accepted} 1", "xds_authentications_total{result=refused} 2",
		"xds_authentications_total{result=unavailable} 1", "xds_ca_not_after_seconds{} 1.7952624e+09",
		"xds_connected_envoys{} 1", "xds_publications_total{} 1",
	)
}
