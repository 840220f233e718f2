package status

import (
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// full is a report in which every field says something.
func full() report.Report {
	conditions := func() []metav1.Condition {
		return []metav1.Condition{{
			Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", Message: "it is", ObservedGeneration: 3,
			LastTransitionTime: metav1.NewTime(time.Unix(1_000_000, 0)),
		}}
	}
	return report.Report{
		Generation: 3,
		Conditions: conditions(),
		Listeners:  []gatewayv1.ListenerStatus{{Name: "http", AttachedRoutes: 1, Conditions: conditions()}},
		Addresses:  []gatewayv1.GatewayStatusAddress{{Value: "192.0.2.7"}},
		Features:   []gatewayv1.SupportedFeature{{Name: "Gateway"}},
		Parents: []gatewayv1.RouteParentStatus{{
			ParentRef: gatewayv1.ParentReference{Name: "web"}, ControllerName: gwapi.ControllerName, Conditions: conditions(),
		}},
		Ancestors: []gatewayv1.PolicyAncestorStatus{{
			AncestorRef: gatewayv1.ParentReference{Name: "web"}, ControllerName: gwapi.ControllerName, Conditions: conditions(),
		}},
	}
}

func TestReportsAreTheSameWhateverTheTimeTheyWereMadeAt(t *testing.T) {
	later := full()
	report.Set{{}: later}.Stamp(time.Unix(2_000_000, 0))
	if !same(full(), later) {
		t.Error("not the same, but only the time differs")
	}
	for sentence, change := range map[string]func(*report.Report){
		"another generation":    func(r *report.Report) { r.Generation++ },
		"a condition's message": func(r *report.Report) { r.Conditions[0].Message = "it is not" },
		"a condition's status":  func(r *report.Report) { r.Conditions[0].Status = metav1.ConditionFalse },
		"a condition more":      func(r *report.Report) { r.Conditions = append(r.Conditions, metav1.Condition{}) },
		"a listener's routes":   func(r *report.Report) { r.Listeners[0].AttachedRoutes++ },
		"a listener's reason":   func(r *report.Report) { r.Listeners[0].Conditions[0].Reason = "Invalid" },
		"an address":            func(r *report.Report) { r.Addresses[0].Value = "192.0.2.8" },
		"no address":            func(r *report.Report) { r.Addresses = nil },
		"another feature":       func(r *report.Report) { r.Features[0].Name = "HTTPRoute" },
		"no feature":            func(r *report.Report) { r.Features = nil },
		"a parent's section":    func(r *report.Report) { r.Parents[0].ParentRef.SectionName = new(gatewayv1.SectionName("http")) },
		"a parent's reason":     func(r *report.Report) { r.Parents[0].Conditions[0].Reason = "Invalid" },
		"no parent":             func(r *report.Report) { r.Parents = nil },
		"an ancestor's name":    func(r *report.Report) { r.Ancestors[0].AncestorRef.Name = "other" },
		"an ancestor's reason":  func(r *report.Report) { r.Ancestors[0].Conditions[0].Reason = "Invalid" },
	} {
		changed := full()
		change(&changed)
		if same(full(), changed) {
			t.Errorf("%s: the same, but it differs", sentence)
		}
	}
}

func TestEveryFieldOfAReportIsCompared(t *testing.T) {
	known := reflect.ValueOf(full())
	for i := range known.NumField() {
		other := full()
		field := reflect.ValueOf(&other).Elem().Field(i)
		if field.IsZero() {
			t.Fatalf("full says nothing in %s", known.Type().Field(i).Name)
		}
		field.SetZero()
		if same(full(), other) {
			t.Errorf("%s is not compared", known.Type().Field(i).Name)
		}
	}
}

func TestTheFloorsGrowAndEnd(t *testing.T) {
	for times, want := range map[int]time.Duration{
		0: time.Second, 1: 2 * time.Second, 5: 32 * time.Second, 6: time.Minute, 1000: time.Minute,
	} {
		if got := doubled(floorLeast, times, floorMost); got != want {
			t.Errorf("after %d: %v, want %v", times, got, want)
		}
	}
	now := time.Unix(1_000_000, 0)
	var disturbed track
	for i := range 20 {
		if told := disturbed.disturbed(now); told != (i+1 == fightAfter) {
			t.Errorf("disturbance %d: told is %v", i+1, told)
		}
		now = now.Add(time.Second)
	}
	if wait := disturbed.notBefore.Sub(now); wait < floorMost-2*time.Second {
		t.Errorf("after twenty disturbances the next write waits for %v", wait)
	}
	now = now.Add(quiet + time.Second)
	disturbed.disturbed(now)
	if disturbed.rewrites != 1 || disturbed.notBefore.After(now) {
		t.Errorf("after a quiet time the first disturbance is not answered at once: %+v", disturbed)
	}
}

func TestWhatOurKindsAreIsWhatReportsKnow(t *testing.T) {
	for _, k := range kinds {
		if _, known := report.Of(k.object()); !known {
			t.Errorf("%s: no status is known of it", k.name)
		}
		if !report.Apply(report.Report{}, k.object()) {
			t.Errorf("%s: no status can be put into it", k.name)
		}
	}
}
