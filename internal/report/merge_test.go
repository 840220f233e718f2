package report_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

var (
	now     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	earlier = metav1.NewTime(now.Add(-time.Hour))

	webKey    = gwapi.KeyOf(gwapi.KindGateway, "default", "web")
	routeKey  = gwapi.KeyOf(gwapi.KindHTTPRoute, "default", "api")
	policyKey = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "api")
)

const stranger = "example.net/controller"

// condition reads "Type=Status/Reason@generation".
func condition(text string) metav1.Condition {
	var generation int64
	text, number, found := strings.Cut(text, "@")
	if found {
		if _, err := fmt.Sscan(number, &generation); err != nil {
			panic(err)
		}
	}
	kind, rest, _ := strings.Cut(text, "=")
	status, reason, _ := strings.Cut(rest, "/")
	return metav1.Condition{
		Type: kind, Status: metav1.ConditionStatus(status), Reason: reason,
		ObservedGeneration: generation, LastTransitionTime: earlier, Message: text,
	}
}

func conditions(texts ...string) []metav1.Condition {
	list := make([]metav1.Condition, len(texts))
	for i, text := range texts {
		list[i] = condition(text)
	}
	return list
}

// texts writes conditions back, with "*" behind those whose status changed now.
func texts(list []metav1.Condition) []string {
	written := make([]string, len(list))
	for i, c := range list {
		written[i] = fmt.Sprintf("%s=%s/%s@%d", c.Type, c.Status, c.Reason, c.ObservedGeneration)
		if c.LastTransitionTime.Equal(new(metav1.NewTime(now))) {
			written[i] += "*"
		}
	}
	return written
}

func TestMergeConditions(t *testing.T) {
	for sentence, c := range map[string]struct {
		live, ours, want []string
		generation       int64
	}{
		"nothing there: everything is new": {
			ours: []string{"Accepted=True/Accepted@2"}, want: []string{"Accepted=True/Accepted@2*"}, generation: 2,
		},
		"the same status keeps its time, whatever the reason": {
			live: []string{"Accepted=True/Old@1"}, ours: []string{"Accepted=True/Accepted@2"},
			want: []string{"Accepted=True/Accepted@2"}, generation: 2,
		},
		"another status has the time of now": {
			live: []string{"Accepted=Unknown/Pending@1"}, ours: []string{"Accepted=True/Accepted@2"},
			want: []string{"Accepted=True/Accepted@2*"}, generation: 2,
		},
		"strangers stay where they are": {
			live: []string{"example.net/A=True/A@1", "Accepted=True/Accepted@1", "example.net/B=True/B@1"},
			ours: []string{"Programmed=True/Programmed@2", "Accepted=True/Accepted@2"},
			want: []string{
				"example.net/A=True/A@1", "Accepted=True/Accepted@2", "example.net/B=True/B@1", "Programmed=True/Programmed@2*",
			},
			generation: 2,
		},
		"ours that are no longer said go": {
			live: []string{
				"Accepted=True/Accepted@1", "backendtls.dev/InsecureBackendValidationMode=True/SecurityDegraded@1",
				"OverlappingTLSConfig=True/OverlappingHostnames@1",
			},
			ours: []string{"Accepted=True/Accepted@1"}, want: []string{"Accepted=True/Accepted@1"}, generation: 1,
		},
		"what was written for a newer generation stays": {
			live: []string{"Accepted=False/Invalid@3", "Programmed=True/Programmed@1", "ResolvedRefs=True/ResolvedRefs@3"},
			ours: []string{"Accepted=True/Accepted@2", "Programmed=True/Programmed@2"},
			want: []string{
				"Accepted=False/Invalid@3", "Programmed=True/Programmed@2", "ResolvedRefs=True/ResolvedRefs@3",
			},
			generation: 2,
		},
		"there is room for eight": {
			live: []string{"a=True/a", "b=True/b", "c=True/c", "d=True/d", "e=True/e", "f=True/f", "Accepted=True/Accepted@1"},
			ours: []string{
				"Accepted=True/Accepted@1", "Programmed=True/Programmed@1", "ResolvedRefs=True/ResolvedRefs@1",
			},
			want: []string{
				"a=True/a@0", "b=True/b@0", "c=True/c@0", "d=True/d@0", "e=True/e@0", "f=True/f@0",
				"Accepted=True/Accepted@1", "Programmed=True/Programmed@1*",
			},
			generation: 1,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			live := report.Report{Conditions: conditions(c.live...)}
			ours := report.Report{Generation: c.generation, Conditions: conditions(c.ours...)}
			got := texts(report.Merge(webKey, live, ours, now).Conditions)
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestMergeListenersFollowTheSpecAndKeepWhatOthersSaid(t *testing.T) {
	live := report.Report{Listeners: []gatewayv1.ListenerStatus{
		{Name: "gone", Conditions: conditions("example.net/A=True/A@1")},
		{Name: "https", Conditions: conditions("example.net/A=True/A@1", "Accepted=True/Accepted@1", "Conflicted=True/X@1")},
	}}
	ours := report.Report{Generation: 2, Listeners: []gatewayv1.ListenerStatus{
		{Name: "http", AttachedRoutes: 1, Conditions: conditions("Accepted=True/Accepted@2")},
		{Name: "https", AttachedRoutes: 2, Conditions: conditions("Accepted=False/PortUnavailable@2")},
	}}
	got := report.Merge(webKey, live, ours, now).Listeners
	if len(got) != 2 || got[0].Name != "http" || got[1].Name != "https" || got[1].AttachedRoutes != 2 {
		t.Fatalf("got %+v", got)
	}
	want := []string{"example.net/A=True/A@1", "Accepted=False/PortUnavailable@2*"}
	if written := texts(got[1].Conditions); !slices.Equal(written, want) {
		t.Errorf("got  %q\nwant %q", written, want)
	}
	if texts(ours.Listeners[1].Conditions)[0] != "Accepted=False/PortUnavailable@2" {
		t.Error("the input was modified")
	}
}

func parent(controller gatewayv1.GatewayController, name string, texts ...string) gatewayv1.RouteParentStatus {
	return gatewayv1.RouteParentStatus{
		ParentRef:      gatewayv1.ParentReference{Name: gatewayv1.ObjectName(name)},
		ControllerName: controller,
		Conditions:     conditions(texts...),
	}
}

func TestMergeParents(t *testing.T) {
	live := report.Report{Parents: []gatewayv1.RouteParentStatus{
		parent(stranger, "web", "Accepted=True/Accepted@1"),
		parent(gwapi.ControllerName, "gone", "Accepted=True/Accepted@1"),
		parent(gwapi.ControllerName, "web", "Accepted=True/Accepted@1", "PartiallyInvalid=True/UnsupportedValue@1"),
		parent(stranger, "other", "Accepted=False/NoMatchingParent@1"),
		parent(gwapi.ControllerName, "web", "Accepted=True/Accepted@1"),
	}}
	web := parent(gwapi.ControllerName, "web", "Accepted=True/Accepted@2")
	web.ParentRef.Namespace = new(gatewayv1.Namespace("default"))
	ours := report.Report{Generation: 2, Parents: []gatewayv1.RouteParentStatus{
		parent(gwapi.ControllerName, "added", "Accepted=True/Accepted@2"), web,
	}}
	got := []string{}
	for _, p := range report.Merge(routeKey, live, ours, now).Parents {
		got = append(got, fmt.Sprintf("%s %s %s", p.ControllerName, p.ParentRef.Name, texts(p.Conditions)))
	}
	want := []string{
		"example.net/controller web [Accepted=True/Accepted@1]",
		"backendtls.dev/gateway-controller web [Accepted=True/Accepted@2]",
		"example.net/controller other [Accepted=False/NoMatchingParent@1]",
		"backendtls.dev/gateway-controller added [Accepted=True/Accepted@2*]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMergeLeavesOutWhatTheLimitsLeaveNoRoomFor(t *testing.T) {
	foreign := func(n int) (parents []gatewayv1.RouteParentStatus, ancestors []gatewayv1.PolicyAncestorStatus) {
		for i := range n {
			p := parent(stranger, fmt.Sprint("foreign", i), "Accepted=True/Accepted@1")
			parents = append(parents, p)
			ancestors = append(ancestors, gatewayv1.PolicyAncestorStatus{
				AncestorRef: p.ParentRef, ControllerName: stranger, Conditions: p.Conditions,
			})
		}
		return parents, ancestors
	}
	ours := report.Report{Generation: 1}
	for i := range 3 {
		p := parent(gwapi.ControllerName, fmt.Sprint("ours", i), "Accepted=True/Accepted@1")
		ours.Parents = append(ours.Parents, p)
		ours.Ancestors = append(ours.Ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef: p.ParentRef, ControllerName: gwapi.ControllerName, Conditions: p.Conditions,
		})
	}
	parents, _ := foreign(31)
	if got := report.Merge(routeKey, report.Report{Parents: parents}, ours, now).Parents; len(got) != 32 ||
		got[31].ParentRef.Name != "ours0" {
		t.Errorf("got %d parents", len(got))
	}
	_, ancestors := foreign(15)
	if got := report.Merge(policyKey, report.Report{Ancestors: ancestors}, ours, now).Ancestors; len(got) != 16 ||
		got[15].AncestorRef.Name != "ours0" {
		t.Errorf("got %d ancestors", len(got))
	}
}

func TestOfAndApplyAreInverse(t *testing.T) {
	reports := map[metav1.Object]report.Report{}
	for _, object := range []metav1.Object{
		&gatewayv1.GatewayClass{}, &gatewayv1.Gateway{}, &gatewayv1.ListenerSet{}, &gatewayv1.HTTPRoute{},
		&gatewayv1.GRPCRoute{}, &gatewayv1.TLSRoute{}, &gatewayv1.TCPRoute{}, &gatewayv1.BackendTLSPolicy{},
	} {
		object.SetGeneration(4)
		written := report.Report{Generation: 4}
		switch object.(type) {
		case *gatewayv1.BackendTLSPolicy:
			written.Ancestors = []gatewayv1.PolicyAncestorStatus{{ControllerName: stranger}}
		case *gatewayv1.GatewayClass:
			written.Conditions = conditions("Accepted=True/Accepted@4")
			written.Features = []gatewayv1.SupportedFeature{{Name: "Gateway"}}
		case *gatewayv1.ListenerSet:
			written.Conditions = conditions("Accepted=True/Accepted@4")
		case *gatewayv1.Gateway:
			written.Conditions = conditions("Accepted=True/Accepted@4")
			written.Listeners = []gatewayv1.ListenerStatus{{Name: "http"}}
			written.Addresses = []gatewayv1.GatewayStatusAddress{{Value: "127.0.0.1"}}
		default:
			written.Parents = []gatewayv1.RouteParentStatus{parent(stranger, "web")}
		}
		reports[object] = written
	}
	for object, written := range reports {
		if !report.Apply(written, object) {
			t.Errorf("%T has no status", object)
		}
		if read, ok := report.Of(object); !ok || !reflect.DeepEqual(read, written) {
			t.Errorf("%T: read %+v, written %+v", object, read, written)
		}
	}
	if _, ok := report.Of(&gatewayv1.ReferenceGrant{}); ok || report.Apply(report.Report{}, &gatewayv1.ReferenceGrant{}) {
		t.Error("a ReferenceGrant has a status")
	}
}

func TestTheFeaturesOfAClassAreThoseOfThisProgramOnly(t *testing.T) {
	features := func(names ...gatewayv1.FeatureName) (list []gatewayv1.SupportedFeature) {
		for _, name := range names {
			list = append(list, gatewayv1.SupportedFeature{Name: name})
		}
		return list
	}
	merged := report.Merge(gwapi.KeyOf(gwapi.KindGatewayClass, "", "backendtls"),
		report.Report{Features: features("Gateway", "OfAnEarlierRelease")},
		report.Report{Features: features("Gateway", "HTTPRoute")}, now)
	if want := features("Gateway", "HTTPRoute"); !slices.Equal(merged.Features, want) {
		t.Errorf("got %v, want %v", merged.Features, want)
	}
}

func TestStampWritesGenerationAndTimeAndShortensMessages(t *testing.T) {
	long := condition("Accepted=True/Accepted")
	long.Message = strings.Repeat("ä", 40000)
	set := report.Set{
		webKey: {Generation: 5, Conditions: []metav1.Condition{long}, Listeners: []gatewayv1.ListenerStatus{
			{Conditions: conditions("Accepted=True/Accepted")},
		}},
		routeKey: {Generation: 6, Parents: []gatewayv1.RouteParentStatus{parent(stranger, "web", "Accepted=True/Accepted")}},
	}
	set.Stamp(now)
	for _, c := range append(set[webKey].Conditions, set[webKey].Listeners[0].Conditions...) {
		if c.ObservedGeneration != 5 || !c.LastTransitionTime.Time.Equal(now) {
			t.Errorf("got %+v", c)
		}
	}
	if got := set[routeKey].Parents[0].Conditions[0].ObservedGeneration; got != 6 {
		t.Errorf("got generation %d of a parent", got)
	}
	message := set[webKey].Conditions[0].Message
	if len(message) > 32768 || !strings.HasSuffix(message, " ...") || strings.ContainsRune(message, '\uFFFD') {
		t.Errorf("got a message of %d bytes", len(message))
	}
}

// FuzzMerge builds two statuses from bytes and checks what must hold for any.
func FuzzMerge(f *testing.F) {
	f.Add([]byte("ours over theirs"), []byte("theirs under ours"), int64(3))
	f.Add([]byte{}, []byte{0, 1, 2, 3, 250, 251, 252}, int64(0))
	f.Fuzz(func(t *testing.T, liveBytes, ourBytes []byte, generation int64) {
		live, ours := arbitrary(liveBytes, false), arbitrary(ourBytes, true)
		ours.Generation = generation
		report.Set{webKey: ours}.Stamp(now)
		for _, key := range []gwapi.Key{webKey, routeKey, policyKey} {
			once := report.Merge(key, live, ours, now)
			twice := report.Merge(key, once, ours, now.Add(time.Minute))
			if !reflect.DeepEqual(once, twice) {
				t.Fatalf("%s: merging again changes\n%+v\nto\n%+v", key, once, twice)
			}
			checkConditions(t, live.Conditions, once.Conditions, key == webKey)
			checkParents(t, live.Parents, once.Parents, key == routeKey)
			if len(once.Ancestors) > max(16, len(live.Ancestors)) {
				t.Fatalf("%d ancestors", len(once.Ancestors))
			}
		}
	})
}

// checkConditions: strangers keep their place, no type comes twice, and no
// generation is lowered.
func checkConditions(t *testing.T, live, merged []metav1.Condition, applies bool) {
	t.Helper()
	if !applies {
		return
	}
	foreign := func(list []metav1.Condition) (kept []metav1.Condition) {
		for _, c := range list {
			if strings.HasPrefix(c.Type, "example.net/") {
				kept = append(kept, c)
			}
		}
		return kept
	}
	if !reflect.DeepEqual(foreign(live), foreign(merged)) {
		t.Fatalf("strangers' conditions changed from %+v to %+v", foreign(live), foreign(merged))
	}
	if len(merged) > max(8, len(live)) {
		t.Fatalf("%d conditions", len(merged))
	}
	seen := map[string]metav1.Condition{}
	for _, c := range merged {
		if _, twice := seen[c.Type]; twice {
			t.Fatalf("%s comes twice", c.Type)
		}
		seen[c.Type] = c
	}
	for _, c := range live {
		if now, kept := seen[c.Type]; kept && now.ObservedGeneration < c.ObservedGeneration {
			t.Fatalf("%s: generation %d was lowered to %d", c.Type, c.ObservedGeneration, now.ObservedGeneration)
		}
	}
}

func checkParents(t *testing.T, live, merged []gatewayv1.RouteParentStatus, applies bool) {
	t.Helper()
	if !applies {
		return
	}
	foreign := func(list []gatewayv1.RouteParentStatus) (kept []gatewayv1.RouteParentStatus) {
		for _, p := range list {
			if p.ControllerName != gwapi.ControllerName {
				kept = append(kept, p)
			}
		}
		return kept
	}
	if !reflect.DeepEqual(foreign(live), foreign(merged)) {
		t.Fatalf("strangers' parents changed")
	}
	if len(merged) > max(32, len(live)) {
		t.Fatalf("%d parents", len(merged))
	}
}

// arbitrary is a report from bytes; its condition types are unique, as the API
// server makes sure of.
func arbitrary(data []byte, own bool) (r report.Report) {
	kinds := []string{"Accepted", "Programmed", "ResolvedRefs", "backendtls.dev/X"}
	if !own {
		kinds = append(kinds, "example.net/A", "example.net/B", "example.net/C", "example.net/D", "example.net/E")
	}
	statuses := []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
	for i, b := range data {
		kind := kinds[int(b)%len(kinds)]
		if !slices.ContainsFunc(r.Conditions, func(c metav1.Condition) bool { return c.Type == kind }) {
			r.Conditions = append(r.Conditions, metav1.Condition{
				Type: kind, Status: statuses[int(b/16)%len(statuses)], ObservedGeneration: int64(b) - 100, LastTransitionTime: earlier,
			})
		}
		controller := gatewayv1.GatewayController(gwapi.ControllerName)
		if !own && b%2 == 0 {
			controller = stranger
		}
		name := fmt.Sprint("gateway", b/4)
		if own && slices.ContainsFunc(r.Parents, func(p gatewayv1.RouteParentStatus) bool {
			return string(p.ParentRef.Name) == name
		}) {
			continue
		}
		p := parent(controller, name, "Accepted=True/Accepted@1")
		if i < 32 {
			r.Parents = append(r.Parents, p)
		}
		if i < 16 {
			r.Ancestors = append(r.Ancestors, gatewayv1.PolicyAncestorStatus{
				AncestorRef: p.ParentRef, ControllerName: controller, Conditions: p.Conditions,
			})
		}
	}
	return r
}
