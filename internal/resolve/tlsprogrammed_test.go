package resolve

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

func TestProgrammedIsWhatEveryEnvoyAcknowledged(t *testing.T) {
	settled := map[gwapi.Key]string{policyKey: "new"}
	stale := map[gwapi.Key]string{policyKey: "old"}
	strict := trustSpec("CA", model.Standard)
	const invalid = "validation: {hostname: 10.0.0.1, wellKnownCACertificates: System}"
	rejected := func(name string) []model.Rejection {
		return []model.Rejection{{Type: "Cluster", Name: name, Message: "no such\ncurve"}}
	}
	for _, c := range []struct {
		name   string
		spec   string
		envoys []model.Envoy
		// before is Programmed as it was last written, "" for not at all.
		before metav1.ConditionStatus
		status metav1.ConditionStatus
		reason report.PolicyReason
		words  []string
	}{
		{"no Envoy at all", strict, nil, "", "Unknown", report.PolicyReasonNoDataPlane, []string{"gateway/default/web"}},
		{
			"one that has it", strict,
			[]model.Envoy{{Name: "a", Connected: true, Settled: settled}},
			"",
			"True", report.PolicyReasonProgrammed,
			[]string{"1 of 1", "the policy"},
		},
		{
			"one that has it and is away", strict,
			[]model.Envoy{{Name: "a", Settled: settled}},
			"",
			"True", report.PolicyReasonProgrammed, nil,
		},
		{"one of two that has an older one", strict, []model.Envoy{
			{Name: "a", Connected: true, Settled: settled}, {Name: "b", Connected: true, Settled: stale},
		}, "True", "False", report.PolicyReasonPending, []string{"1 of 2", "waiting for b"}},
		{"a young one", strict, []model.Envoy{{Name: "a"}}, "", "False", report.PolicyReasonPending, []string{"waiting for a"}},
		{
			"one that has outlived the operator", strict,
			[]model.Envoy{{Name: "a"}},
			"True",
			"Unknown", report.PolicyReasonNotHeard,
			[]string{"a"},
		},
		{"one that refuses the cluster", strict, []model.Envoy{{
			Name: "a", Connected: true, Settled: stale,
			Rejections: rejected("CLUSTER"),
		}}, "", "False", report.PolicyReasonRejected, []string{"a refused Cluster", `no such\ncurve`}},
		{"one that refuses something it does not name", strict, []model.Envoy{{
			Name: "a", Connected: true,
			Rejections: rejected(""),
		}}, "", "False", report.PolicyReasonRejected, []string{"a refused Cluster"}},
		{"one that refuses somebody else's cluster", strict, []model.Envoy{{
			Name: "a", Connected: true,
			Rejections: rejected("default/other/1/x"),
		}}, "", "False", report.PolicyReasonPending, nil},
		{"one that has it and refuses something unnamed", strict, []model.Envoy{{
			Name: "a", Connected: true, Settled: settled,
			Rejections: rejected(""),
		}}, "", "True", report.PolicyReasonProgrammed, nil},
		{
			"a 500 that is in place", invalid,
			[]model.Envoy{{Name: "a", Connected: true, Settled: settled}},
			"",
			"True", report.PolicyReasonProgrammed,
			[]string{"the 500 in place of the backend"},
		},
		{
			"a 500 that is not yet in place", invalid,
			[]model.Envoy{{Name: "a", Connected: true, Settled: stale}},
			"",
			"False", report.PolicyReasonPending,
			[]string{"the 500", "waiting for a"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			policy := w.policy("api", c.spec)
			if c.before != "" {
				condition := report.PolicyProgrammed("")
				condition.Status = c.before
				policy.Status.Ancestors = append(policy.Status.Ancestors, report.PolicyAncestor(webKey, condition))
			}
			gateway := model.Gateway{Key: webKey, Shares: map[gwapi.Key]string{policyKey: "new", webKey: "own"}}
			if trust := w.build().at("https").Trust; trust != nil {
				backend := model.Backend{Service: apiKey, Port: 443, Trust: trust}
				gateway.Backends = append(gateway.Backends, backend)
				for i := range c.envoys {
					for j, rejection := range c.envoys[i].Rejections {
						c.envoys[i].Rejections[j].Name = strings.Replace(rejection.Name, "CLUSTER", backend.Name(), 1)
					}
				}
			}
			w.envoys(c.envoys...)
			p := w.buildFor(map[gwapi.Key]model.Gateway{webKey: gateway})
			p.expect(policyKey, report.Programmed, c.reason, c.words...)
			if status := p.entry(policyKey, webKey)[report.Programmed].Status; status != c.status {
				t.Errorf("status %s, want %s", status, c.status)
			}
		})
	}
}

func TestAModeThatIsOnlyAnnouncedIsNotProgrammed(t *testing.T) {
	w := windowed(t)
	gateways := map[gwapi.Key]model.Gateway{webKey: {Key: webKey, Shares: map[gwapi.Key]string{policyKey: "same"}}}
	w.envoys(model.Envoy{Name: "a", Connected: true, Settled: map[gwapi.Key]string{policyKey: "same"}})
	p := w.buildFor(gateways)
	p.expect(policyKey, report.Programmed, report.PolicyReasonPending, "InsecureSkipVerification", "as written")
	w.readBack(p)
	w.buildFor(gateways).expect(policyKey, report.Programmed, report.PolicyReasonProgrammed)
}

func TestAGatewayThatCannotBeTranslatedIsSaidToBe(t *testing.T) {
	w := newWorld(t)
	w.policy("api", trustSpec("CA", model.Standard))
	w.envoys(model.Envoy{Name: "a", Connected: true})
	w.snap.Observed.Untranslatable = map[gwapi.Key]string{webKey: "assertion A1"}
	w.build().expect(policyKey, report.Programmed, report.PolicyReasonPending, "could not be built: assertion A1")
}

func TestALoserIsNotDegradedByAModeOfItsOwn(t *testing.T) {
	w := newWorld(t, permissive)
	w.targeting("a", time.Hour, "api")
	w.policy("b", trustSpec("CA", model.InsecureSkipVerification)).CreationTimestamp = metav1.NewTime(noon)
	p := w.build()
	p.expect(btls("b"), report.PolicyAccepted, report.PolicyReasonConflicted)
	p.expect(btls("b"), report.PolicySecurityDegraded, report.PolicyReasonStrict)
	if len(p.gatewayConditions(webKey)) > 0 {
		t.Error("the Gateway says that it is degraded")
	}
}
