package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

func btls(name string) gwapi.Key { return gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", name) }

// targeting adds a policy that asks for a hostname of its own name, so that a
// test can tell which one decides.
func (w *world) targeting(name string, age time.Duration, targets ...string) {
	w.t.Helper()
	var refs []string
	for _, target := range targets {
		service, section, sectioned := strings.Cut(target, ":")
		ref := "{group: \"\", kind: Service, name: " + service
		if sectioned {
			ref += ", sectionName: " + section
		}
		refs = append(refs, ref+"}")
	}
	policy := w.policy(name, fmt.Sprintf("targetRefs: [%s]\nvalidation: {hostname: %s.example.com, "+
		"wellKnownCACertificates: System}", strings.Join(refs, ", "), name))
	policy.CreationTimestamp = metav1.NewTime(noon.Add(-age))
}

const otherService = "apiVersion: v1\nkind: Service\nmetadata: {name: other, namespace: default}\n" +
	"spec: {ports: [{name: https, port: 443}]}"

func TestWhichPolicyDecidesAPort(t *testing.T) {
	other := gwapi.KeyOf(gwapi.KindService, "default", "other")
	type want struct{ https, admin, other string }
	for _, c := range []struct {
		name     string
		policies func(w *world)
		want     want
		// accepted are the reasons of Accepted by policy; "" is no entry.
		accepted map[string]string
	}{
		{"one policy on the whole Service", func(w *world) {
			w.targeting("a", 0, "api")
		}, want{"a", "a", ""}, map[string]string{"a": "Accepted"}},
		{"a section beats the whole Service, however old", func(w *world) {
			w.targeting("whole", time.Hour, "api")
			w.targeting("section", 0, "api:https")
		}, want{"section", "whole", ""}, map[string]string{"whole": "Accepted", "section": "Accepted"}},
		{"the older of two", func(w *world) {
			w.targeting("a", 0, "api")
			w.targeting("b", time.Hour, "api")
		}, want{"b", "b", ""}, map[string]string{"a": "Conflicted", "b": "Accepted"}},
		{"the first by name of two of one age", func(w *world) {
			w.targeting("b", 0, "api:https")
			w.targeting("a", 0, "api:https")
		}, want{"a", "", ""}, map[string]string{"a": "Accepted", "b": "Conflicted"}},
		{"a target lost and one kept", func(w *world) {
			w.targeting("a", time.Hour, "api")
			w.targeting("b", 0, "api", "other")
		}, want{"a", "a", "b"}, map[string]string{"a": "Accepted", "b": "Conflicted"}},
		{"two sections of one policy", func(w *world) {
			w.targeting("a", 0, "api:https", "api:admin")
		}, want{"a", "a", ""}, map[string]string{"a": "Accepted"}},
		{"every port named by others leaves nothing to say", func(w *world) {
			w.targeting("whole", time.Hour, "api")
			w.targeting("one", 0, "api:https")
			w.targeting("two", 0, "api:admin")
		}, want{"one", "two", ""}, map[string]string{"whole": "", "one": "Accepted", "two": "Accepted"}},
		{"a Service that does not exist beside one that does", func(w *world) {
			w.targeting("a", 0, "api", "absent")
		}, want{"a", "a", ""}, map[string]string{"a": "Accepted"}},
		{"a Service that nobody reaches", func(w *world) {
			w.targeting("a", 0, "absent")
		}, want{"", "", ""}, map[string]string{"a": ""}},
		{"a policy in another namespace", func(w *world) {
			w.targeting("a", 0, "api")
			moved := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
			w.snap.TLSPolicies = w.snap.TLSPolicies.Without(btls("a").NamespacedName())
			moved.Namespace = "elsewhere"
			w.snap.TLSPolicies = w.snap.TLSPolicies.With(moved)
		}, want{"", "", ""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, otherService)
			c.policies(w)
			p := w.build()
			decides := func(decision tlsDecision) string {
				if decision.Trust == nil {
					return decision.FaultReason
				}
				return strings.TrimSuffix(decision.Trust.SNI, ".example.com")
			}
			got := want{decides(p.at("https")), decides(p.at("admin")), decides(p.on(webKey, other, "https"))}
			if got != c.want {
				t.Errorf("decided by %+v, want %+v", got, c.want)
			}
			for name, reason := range c.accepted {
				if got := p.entry(btls(name), webKey)[report.PolicyAccepted].Reason; got != reason {
					t.Errorf("%s: Accepted is %q, want %q", name, got, reason)
				}
			}
		})
	}
}

func TestALostTargetIsNamedWithWhatIsKept(t *testing.T) {
	w := newWorld(t, otherService)
	w.targeting("a", time.Hour, "api")
	w.targeting("b", 0, "api", "other")
	p := w.build()
	p.expect(btls("b"), report.PolicyAccepted, report.PolicyReasonConflicted,
		"service/default/api is decided by backendtlspolicy/default/a", "stays in force for service/default/other")
	p.expect(btls("b"), report.PolicySecurityDegraded, report.PolicyReasonStrict)

	w.targeting("b", 0, "api")
	p = w.build()
	p.expect(btls("b"), report.PolicyAccepted, report.PolicyReasonConflicted, "keeps no target")
	p.expect(btls("b"), report.Programmed, report.PolicyReasonNotInForce)
	p.expect(btls("b"), report.PolicySecurityDegraded, report.PolicyReasonStrict, "decides no port")
}

func TestAnInvalidWinnerFailsClosedAndDoesNotYield(t *testing.T) {
	w := newWorld(t)
	w.targeting("a", time.Hour, "api")
	invalid := w.snap.TLSPolicies.Sorted()[0].DeepCopy()
	invalid.Spec.Validation.Hostname = "10.0.0.1"
	w.snap.TLSPolicies = w.snap.TLSPolicies.With(invalid)
	w.targeting("b", 0, "api")
	p := w.build()
	if decision := p.at("https"); decision.Trust != nil || decision.FaultReason != "Invalid" {
		t.Errorf("decided %+v", decision)
	}
	p.expect(btls("b"), report.PolicyAccepted, report.PolicyReasonConflicted)
}

func TestAFaultCountsBeforeALostTargetWhereItAnswers500(t *testing.T) {
	w := newWorld(t, otherService)
	w.targeting("a", time.Hour, "api")
	w.targeting("b", 0, "api", "other")
	invalid, _ := w.snap.TLSPolicies.Get(btls("b").NamespacedName())
	invalid.Spec.Validation.Hostname = "10.0.0.1"
	w.build().expect(btls("b"), report.PolicyAccepted, report.PolicyReasonInvalid, "IP address")
}

func TestASectionThatNamesNoPortClosesThePortsOfNobody(t *testing.T) {
	w := newWorld(t)
	w.targeting("a", 0, "api:http")
	w.targeting("b", 0, "api:admin")
	p := w.build()
	if decision := p.at("https"); decision.FaultReason != "TargetNotFound" ||
		!strings.Contains(decision.Fault, `no port named "http"`) {
		t.Errorf("the port without a policy: %+v", decision)
	}
	if decision := p.at("admin"); decision.Trust == nil {
		t.Errorf("the port with one: %+v", decision)
	}
	p.expect(btls("a"), report.PolicyAccepted, report.PolicyReasonTargetNotFound, "https, admin")
	p.expect(btls("a"), report.PolicySecurityDegraded, report.PolicyReasonFailClosed)

	// Named by others, every port is safe, but the policy still says what is wrong.
	w.targeting("c", 0, "api:https")
	p = w.build()
	if p.at("https").Trust == nil {
		t.Error("a port with an accepted policy is closed")
	}
	p.expect(btls("a"), report.PolicyAccepted, report.PolicyReasonTargetNotFound)
	p.expect(btls("a"), report.PolicySecurityDegraded, report.PolicyReasonStrict, "decides no port")
}

func TestEveryTargetAndReferenceIsRecordedForEachGateway(t *testing.T) {
	w := newWorld(t, otherService, permissive, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"+
		"metadata: {name: two, namespace: default}\nspec: {gatewayClassName: backendtls}")
	w.policy("api", `targetRefs: [{group: "", kind: Service, name: api}, {group: "", kind: Service, name: absent}]
validation: {hostname: api.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: absent}, {group: "", kind: ConfigMap, name: ca}]}
options: {backendtls.dev/trusted-certificates: "secret/absent, secret/ca", backendtls.dev/mode: InsecureSkipVerification}`)
	p := w.build()
	both := []gwapi.Key{gwapi.KeyOf(gwapi.KindGateway, "default", "two"), webKey}
	refs := p.b.sortedRefs()
	for key, want := range map[gwapi.Key][]gwapi.Key{
		apiKey: both,
		gwapi.KeyOf(gwapi.KindService, "default", "absent"):         both,
		gwapi.KeyOf(gwapi.KindConfigMap, "default", "absent"):       both,
		gwapi.KeyOf(gwapi.KindConfigMap, "default", "ca"):           both,
		gwapi.KeyOf(gwapi.KindSecret, "default", "absent"):          both,
		gwapi.KeyOf(gwapi.KindSecret, "default", "ca"):              both,
		gwapi.KeyOf(gwapi.KindNamespace, "", "default"):             both,
		gwapi.KeyOf(gwapi.KindGatewayParameters, "default", "lax"):  {webKey},
		gwapi.KeyOf(gwapi.KindConfigMap, "default", "unmentioned"):  nil,
		gwapi.KeyOf(gwapi.KindConfigMap, systemNamespace, "system"): nil,
	} {
		if !slices.Equal(refs[key], want) {
			t.Errorf("%s: %v, want %v", key, refs[key], want)
		}
	}
}

// crowd fills status.ancestors of a policy with entries of others.
func crowd(policy *gatewayv1.BackendTLSPolicy, foreign int) *gatewayv1.BackendTLSPolicy {
	policy = policy.DeepCopy()
	for i := range foreign {
		policy.Status.Ancestors = append(policy.Status.Ancestors, gatewayv1.PolicyAncestorStatus{
			ControllerName: "example.com/other",
			AncestorRef:    gatewayv1.ParentReference{Name: gatewayv1.ObjectName(fmt.Sprintf("theirs-%d", i))},
			Conditions:     []metav1.Condition{{Type: "Accepted"}},
		})
	}
	return policy
}

func TestAPolicyWithoutAFreeSlotIsNotProgrammed(t *testing.T) {
	young := gwapi.KeyOf(gwapi.KindGateway, "default", "a-young-one")
	for foreign, slots := range map[int]int{14: 2, 15: 1, 16: 0, 17: 0} {
		w := newWorld(t, "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"+
			"metadata: {name: a-young-one, namespace: default, creationTimestamp: \"2022-01-01T00:00:00Z\"}\n"+
			"spec: {gatewayClassName: backendtls}", "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\n"+
			"metadata: {name: web, namespace: default, creationTimestamp: \"2021-01-01T00:00:00Z\"}\n"+
			"spec: {gatewayClassName: backendtls}")
		policy := crowd(w.policy("api", trustSpec("CA", model.Standard)), foreign)
		// An entry of ours that is out of date makes room for the next.
		policy.Status.Ancestors = append(policy.Status.Ancestors,
			report.PolicyAncestor(gwapi.KeyOf(gwapi.KindGateway, "default", "gone")))
		w.snap.TLSPolicies = w.snap.TLSPolicies.With(policy)
		p := w.build()
		for i, gateway := range []gwapi.Key{webKey, young} {
			decision := p.on(gateway, apiKey, "https")
			conditions := p.gatewayConditions(gateway)
			entry := p.entry(policyKey, gateway)
			if i < slots {
				if decision.Trust == nil || len(conditions) > 0 || entry == nil {
					t.Errorf("%d foreign entries, %s: %+v, %v", foreign, gateway, decision, conditions)
				}
				continue
			}
			if decision.Trust != nil || !strings.Contains(decision.Fault, "status.ancestors") || entry != nil {
				t.Errorf("%d foreign entries, %s: decided %+v with entry %v", foreign, gateway, decision, entry)
			}
			if len(conditions) != 1 || conditions[0].Type != report.GatewayPolicyAncestorsFull ||
				!strings.Contains(conditions[0].Message, policyKey.String()) {
				t.Errorf("%d foreign entries, %s: conditions %+v", foreign, gateway, conditions)
			}
		}
	}
}
