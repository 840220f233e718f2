package resolve

import (
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// A policy that can only be meant for a Service must not leave it in plaintext
// because of a slip.
func TestASlipInATargetFailsClosedWhereItWasMeantTo(t *testing.T) {
	other := gwapi.KeyOf(gwapi.KindService, "default", "other")
	for name, row := range map[string]struct {
		target    string
		plaintext bool
	}{
		"the kind in lower case": {target: `{group: "", kind: service, name: api}`},
		"the kind as a plural":   {target: `{group: "", kind: Services, name: api}`},
		"the kind cut short":     {target: `{group: "", kind: svc, name: api}`},
		"the group by its name":  {target: `{group: core, kind: Service, name: api}`},
		"a version for a group":  {target: `{group: v1, kind: Service, name: api}`},
		"another API's Service":  {target: `{group: serving.knative.dev, kind: Service, name: api}`, plaintext: true},
		"another kind":           {target: `{group: "", kind: ConfigMap, name: api}`, plaintext: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, otherService)
			w.policy("slip", "targetRefs: ["+row.target+"]\n"+
				"validation: {hostname: api.example.com, wellKnownCACertificates: System}")
			p := w.build()
			decision := p.at("https")
			if plaintext := decision.Trust == nil && decision.FaultReason == ""; plaintext != row.plaintext {
				t.Errorf("plaintext is %t, want %t: %+v", plaintext, row.plaintext, decision)
			}
			if decision := p.on(webKey, other, "https"); decision.FaultReason != "" {
				t.Errorf("the other Service is hit as well: %+v", decision)
			}
			if !row.plaintext {
				p.expect(btls("slip"), report.PolicyAccepted, report.PolicyReasonTargetNotFound,
					"spec.targetRefs[0]", "only a Service")
			}
		})
	}
}

// A faulty policy of which some targets could be made out and others could not
// may be meant for any Service of its namespace.
func TestATargetThatCannotBeMadeOutFailsClosedInTheNamespace(t *testing.T) {
	other := gwapi.KeyOf(gwapi.KindService, "default", "other")
	w := newWorld(t, otherService)
	policy := w.policy("half", "targetRefs: [{group: \"\", kind: Service, name: api}, {group: \"\", kind: Service, name: \"\"}]\n"+
		"validation: {hostname: api.example.com, wellKnownCACertificates: System}")
	w.snap.Faults = map[gwapi.Key]string{btls(policy.Name): "x.yaml:7: spec.targetRefs[1].name: required"}
	p := w.build()
	for _, service := range []gwapi.Key{apiKey, other} {
		decision := p.on(webKey, service, "https")
		if decision.FaultReason != string(report.PolicyReasonInvalid) || !strings.Contains(decision.Fault, "x.yaml:7") {
			t.Errorf("%s: %+v", service, decision)
		}
	}
}
