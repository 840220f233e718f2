package status_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/report"
)

var address = gatewayv1.GatewayStatusAddress{Type: new(gatewayv1.IPAddressType), Value: "192.0.2.7"}

// gatewayReport is a whole status.
func gatewayReport(reason string) report.Report {
	return report.Report{
		Generation: 1,
		Conditions: []metav1.Condition{
			condition("Accepted", metav1.ConditionTrue, reason),
			condition(report.GatewayInsecureBackendValidation, metav1.ConditionTrue, "SecurityDegraded"),
		},
		Listeners: []gatewayv1.ListenerStatus{{
			Name: "http", AttachedRoutes: 3, Conditions: []metav1.Condition{condition("Accepted", metav1.ConditionTrue, reason)},
		}},
		Addresses: []gatewayv1.GatewayStatusAddress{address},
	}
}

// types are those of the conditions.
func types(conditions []metav1.Condition) []string {
	var names []string
	for _, c := range conditions {
		names = append(names, c.Type)
	}
	return names
}

// conditioned waits until the Gateway has so many conditions.
func conditioned(s *shelf, name string, count int) *gatewayv1.Gateway {
	s.t.Helper()
	var live *gatewayv1.Gateway
	await(s.t, fmt.Sprintf("gateway %s has %d conditions", name, count), func() bool {
		live = gateway(name) // What is not there any more is not read into it.
		return s.server.Get(live) && len(live.Status.Conditions) == count
	})
	return live
}

func TestAForeignGatewayIsLeftAlone(t *testing.T) {
	t.Parallel()
	theirs := gateway("theirs")
	report.Apply(gatewayReport("Theirs"), theirs)
	theirs.Status.Conditions = theirs.Status.Conditions[:1]
	class := &gatewayv1.GatewayClass{Name: "theirs", Status: gatewayv1.GatewayClassStatus{
		Conditions: []metav1.Condition{condition("Accepted", metav1.ConditionTrue, "Theirs")},
	}}
	server := newServerWith(t, theirs, class, gateway("ours"))
	s := open(t, server).run()
	s.Put(report.Set{gatewayKey("ours"): gatewayReport("Accepted")})
	conditioned(s, "ours", 2)
	s.Poke()
	s.settled()
	if writes := s.writes(); len(writes) != 1 || writes[0].Name != "ours" {
		t.Errorf("written was %v", writes)
	}
}

func TestAConditionOfOurDomainIsRemovedFromAForeignGateway(t *testing.T) {
	theirs := gateway("theirs")
	report.Apply(gatewayReport("Theirs"), theirs)
	server := newServerWith(t, theirs)
	s := open(t, server).run()
	s.Put(report.Set{})
	theirs = conditioned(s, "theirs", 1)
	if theirs.Status.Conditions[0].Type != "Accepted" || len(theirs.Status.Listeners) != 1 || len(theirs.Status.Addresses) != 1 {
		t.Errorf("what is left is %+v", theirs.Status)
	}
}

func TestAGatewayThatIsNotOursAnyMoreLosesWhatWeSaid(t *testing.T) {
	server := newServerWith(t, gateway("moved"))
	s := open(t, server).run()
	s.Put(report.Set{gatewayKey("moved"): gatewayReport("Accepted")})
	live := conditioned(s, "moved", 2)
	live.Status.Conditions = append(live.Status.Conditions, condition("example.net/Odd", metav1.ConditionTrue, "Odd"))
	server.Put(live)
	s.Put(report.Set{})
	live = conditioned(s, "moved", 1)
	if diff := cmp.Diff([]string{"example.net/Odd"}, types(live.Status.Conditions)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	if len(live.Status.Listeners) > 0 || len(live.Status.Addresses) > 0 {
		t.Errorf("listeners %v and addresses %v are left", live.Status.Listeners, live.Status.Addresses)
	}
}

func TestWhatTheNextControllerHasWrittenOverOursStays(t *testing.T) {
	t.Parallel()
	server := newServerWith(t, gateway("moved"))
	s := open(t, server)
	s.run()
	s.Put(report.Set{gatewayKey("moved"): gatewayReport("Accepted")})
	live := conditioned(s, "moved", 2)
	s.leading.Store(false)
	s.Put(report.Set{})
	// The next controller is faster than our next leader.
	meta.SetStatusCondition(&live.Status.Conditions, condition("Accepted", metav1.ConditionTrue, "Theirs"))
	live.Status.Addresses[0].Value = "192.0.2.99"
	live.Status.Listeners[0].Conditions[0].Message = "theirs"
	server.Put(live)
	s.leading.Store(true)
	s.Poke()
	conditioned(s, "moved", 1)
	s.settled()
	live = conditioned(s, "moved", 1)
	if live.Status.Conditions[0].Reason != "Theirs" || len(live.Status.Addresses) != 1 || len(live.Status.Listeners) != 1 {
		t.Errorf("what is left is %+v", live.Status)
	}
}

func TestAnObjectOfTheSameNameStartsAnew(t *testing.T) {
	t.Parallel()
	server := newServerWith(t, gateway("again"))
	s := open(t, server).run()
	s.Put(report.Set{gatewayKey("again"): gatewayReport("Accepted")})
	conditioned(s, "again", 2)
	for _, seen := range []bool{true, false} {
		see := func() {}
		if !seen {
			see = s.blind()
		}
		server.Delete(gateway("again"))
		server.Put(gateway("again"))
		see()
		conditioned(s, "again", 2)
	}
	if rewrites := s.metric("backendtls_status_rewrites_total", ""); rewrites > 0 {
		t.Errorf("%v rewrites counted, but nobody touched our part", rewrites)
	}
}

func TestNothingIsRememberedOfAGatewayThatIsGone(t *testing.T) {
	for sentence, leads := range map[string]bool{"by who leads": true, "by who does not": false} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			server := newServerWith(t, gateway("going"), gateway("moved"))
			s := open(t, server)
			s.leading.Store(leads)
			s.run()
			in := func(name string) func() bool {
				live := gateway(name)
				return func() bool { return s.cache.Get(t.Context(), client.ObjectKeyFromObject(live), live) == nil }
			}
			s.Put(report.Set{gatewayKey("going"): gatewayReport("Accepted"), gatewayKey("moved"): gatewayReport("Accepted")})
			await(t, "both are in the cache", func() bool { return in("going")() && in("moved")() })
			remembers := func(now, before int) func() bool {
				return func() bool { n, b := s.Remembered(); return n == now && b == before }
			}
			await(t, "both are to be written", remembers(2, 0))
			server.Delete(gateway("going"))
			await(t, "it is gone", func() bool { return !in("going")() })
			s.Put(report.Set{})
			await(t, "the one that is there is remembered, the other is not", remembers(0, 1))
			server.Delete(gateway("moved"))
			await(t, "nothing is remembered", remembers(0, 0))
		})
	}
}
