package gwapi_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

func TestIntersect(t *testing.T) {
	for sentence, c := range map[string]struct {
		a, b, want string
		ok         bool
	}{
		"any host meets any host":                              {"", "", "", true},
		"any host leaves the other one":                        {"", "a.example.com", "a.example.com", true},
		"any host leaves a wildcard":                           {"", "*.example.com", "*.example.com", true},
		"equal names meet":                                     {"a.example.com", "a.example.com", "a.example.com", true},
		"different names do not":                               {"a.example.com", "b.example.com", "", false},
		"a wildcard stands for one label":                      {"*.example.com", "a.example.com", "a.example.com", true},
		"a wildcard stands for several labels":                 {"*.example.com", "a.b.example.com", "a.b.example.com", true},
		"a wildcard does not stand for none":                   {"*.example.com", "example.com", "", false},
		"a wildcard does not stand for part of a label":        {"*.example.com", "badexample.com", "", false},
		"the narrower of two wildcards is what they share":     {"*.example.com", "*.a.example.com", "*.a.example.com", true},
		"wildcards side by side share nothing":                 {"*.example.com", "*.example.org", "", false},
		"a wildcard does not reach above itself":               {"*.a.example.com", "b.example.com", "", false},
		"a name that ends alike but has no dot is another one": {"*.com", "examplecom", "", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
				got, ok := gwapi.Intersect(pair[0], pair[1])
				if got != c.want || ok != c.ok {
					t.Errorf("Intersect(%q, %q) = %q, %v; want %q, %v", pair[0], pair[1], got, ok, c.want, c.ok)
				}
			}
		})
	}
}

func TestIntersectionsKeepTheRoutesOwnHostname(t *testing.T) {
	got := gwapi.Intersections("very.specific.com", []string{"other.com", "*.specific.com", "very.specific.com"})
	want := []gwapi.Intersection{
		{Hostname: "very.specific.com", Own: "*.specific.com"},
		{Hostname: "very.specific.com", Own: "very.specific.com"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := gwapi.Intersections("*.example.com", nil); !slices.Equal(got, []gwapi.Intersection{{Hostname: "*.example.com"}}) {
		t.Errorf("a route without hostnames takes the listener's, got %v", got)
	}
}

func TestCompareHostnamesPutsTheMostSpecificFirst(t *testing.T) {
	want := []string{"long.foo.example.com", "a.example.com", "*.foo.example.com", "*.example.com", ""}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, gwapi.CompareHostnames)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func grant(namespace string, from gatewayv1.ReferenceGrantFrom, to gatewayv1.ReferenceGrantTo) *gatewayv1.ReferenceGrant {
	return &gatewayv1.ReferenceGrant{
		Namespace: namespace, Name: "grant",
		Spec: gatewayv1.ReferenceGrantSpec{
			From: []gatewayv1.ReferenceGrantFrom{{Group: "nobody.example", Kind: "Nothing", Namespace: "web"}, from},
			To:   []gatewayv1.ReferenceGrantTo{{Kind: "ConfigMap"}, to},
		},
	}
}

func TestAllowed(t *testing.T) {
	route := gwapi.KeyOf(gwapi.KindHTTPRoute, "web", "r")
	service := gwapi.KeyOf(gwapi.KindService, "backend", "api")
	from := gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "web"}
	to := gatewayv1.ReferenceGrantTo{Kind: "Service"}
	for sentence, c := range map[string]struct {
		grant    *gatewayv1.ReferenceGrant
		from, to gwapi.Key
		want     bool
	}{
		"nothing is needed within a namespace": {nil, route, gwapi.KeyOf(gwapi.KindService, "web", "api"), true},
		"across namespaces it is":              {nil, route, service, false},
		"a grant for all Services permits one": {grant("backend", from, to), route, service, true},
		"a grant by name permits that name": {
			grant("backend", from, gatewayv1.ReferenceGrantTo{Kind: "Service", Name: new(gatewayv1.ObjectName("api"))}),
			route, service, true,
		},
		"a grant by name permits no other": {
			grant("backend", from, gatewayv1.ReferenceGrantTo{Kind: "Service", Name: new(gatewayv1.ObjectName("other"))}),
			route, service, false,
		},
		"a grant in the referring namespace permits nothing": {grant("web", from, to), route, service, false},
		"a grant in a third namespace permits nothing":       {grant("third", from, to), route, service, false},
		"a grant for another kind permits nothing": {
			grant("backend", gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "GRPCRoute", Namespace: "web"}, to),
			route, service, false,
		},
		"a grant for another group permits nothing": {
			grant("backend", gatewayv1.ReferenceGrantFrom{Kind: "HTTPRoute", Namespace: "web"}, to), route, service, false,
		},
		"a grant for another namespace permits nothing": {
			grant("backend", gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Namespace: "x"}, to),
			route, service, false,
		},
		"a grant to another kind permits nothing": {
			grant("backend", from, gatewayv1.ReferenceGrantTo{Kind: "Secret"}), route, service, false,
		},
		"a grant to another group permits nothing": {
			grant("backend", from, gatewayv1.ReferenceGrantTo{Group: "x.example", Kind: "Service"}), route, service, false,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var grants []*gatewayv1.ReferenceGrant
			if c.grant != nil {
				grants = append(grants, c.grant)
			}
			if got := gwapi.Allowed(grants, c.from, c.to); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	at := func(s int64) time.Time { return time.Unix(s, 0) }
	// Each beats every one after it.
	order := []gwapi.Precedence{
		{Hostname: "a.example.com", Path: gwapi.PathPrefix, Length: 1, Name: "own hostname before anything else"},
		{Hostname: "*.example.com", Path: gwapi.PathExact, Length: 4, Name: "exact path"},
		{Path: gwapi.PathExact, Length: 4, Name: "exact, any host"},
		{Path: gwapi.PathRegularExpression, Length: 9, Name: "pattern"},
		{Path: gwapi.PathPrefix, Length: 5, Name: "longer prefix"},
		{Path: gwapi.PathPrefix, Length: 4, Method: true, Name: "method"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 2, Name: "more headers"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 2, Name: "more query parameters"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Name: "no time is older"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Created: at(1), Namespace: "a", Name: "older"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Created: at(2), Namespace: "a", Name: "namespace a"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Created: at(2), Namespace: "b", Name: "b"},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Created: at(2), Namespace: "b", Name: "b", Match: 1},
		{Path: gwapi.PathPrefix, Length: 4, Headers: 1, Query: 1, Created: at(2), Namespace: "b", Name: "b", Rule: 1},
	}
	for i := range order {
		for j := range order {
			want := 0
			if i != j {
				want = map[bool]int{true: -1, false: 1}[i < j]
			}
			if got := order[i].Compare(order[j]); got != want {
				t.Errorf("%q against %q: got %d, want %d", order[i].Name, order[j].Name, got, want)
			}
		}
	}
}

func TestParentKey(t *testing.T) {
	for sentence, c := range map[string]struct {
		ref  gatewayv1.ParentReference
		want gwapi.Key
		ok   bool
	}{
		"a bare name is a Gateway in the route's namespace": {
			gatewayv1.ParentReference{Name: "web"}, gwapi.KeyOf(gwapi.KindGateway, "ns", "web"), true,
		},
		"a namespace may be given": {
			gatewayv1.ParentReference{Name: "web", Namespace: new(gatewayv1.Namespace("infra"))},
			gwapi.KeyOf(gwapi.KindGateway, "infra", "web"), true,
		},
		"a ListenerSet is a parent": {
			gatewayv1.ParentReference{Name: "set", Kind: new(gatewayv1.Kind("ListenerSet"))},
			gwapi.KeyOf(gwapi.KindListenerSet, "ns", "set"), true,
		},
		"a Service is none": {
			gatewayv1.ParentReference{Name: "svc", Group: new(gatewayv1.Group("")), Kind: new(gatewayv1.Kind("Service"))},
			gwapi.Key{},
			false,
		},
		"a Gateway of another group is none": {
			gatewayv1.ParentReference{Name: "web", Group: new(gatewayv1.Group("networking.istio.io"))}, gwapi.Key{}, false,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, ok := gwapi.ParentKey(&c.ref, "ns")
			if got != c.want || ok != c.ok {
				t.Errorf("got %v, %v; want %v, %v", got, ok, c.want, c.ok)
			}
		})
	}
}

func TestSelectsListener(t *testing.T) {
	section, port := new(gatewayv1.SectionName("http")), new(gatewayv1.PortNumber(80))
	for sentence, c := range map[string]struct {
		ref  gatewayv1.ParentReference
		want bool
	}{
		"nothing selects every listener":   {gatewayv1.ParentReference{}, true},
		"its name selects it":              {gatewayv1.ParentReference{SectionName: section}, true},
		"its port selects it":              {gatewayv1.ParentReference{Port: port}, true},
		"both select it":                   {gatewayv1.ParentReference{SectionName: section, Port: port}, true},
		"another name does not":            {gatewayv1.ParentReference{SectionName: new(gatewayv1.SectionName("x"))}, false},
		"another port does not":            {gatewayv1.ParentReference{Port: new(gatewayv1.PortNumber(81))}, false},
		"its name with another port not":   {gatewayv1.ParentReference{SectionName: section, Port: new(gatewayv1.PortNumber(81))}, false},
		"its port with another name not":   {gatewayv1.ParentReference{SectionName: new(gatewayv1.SectionName("x")), Port: port}, false},
		"an empty name is as good as none": {gatewayv1.ParentReference{SectionName: new(gatewayv1.SectionName(""))}, true},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got := gwapi.SelectsListener(&c.ref, "http", 80); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestSameParentRefIgnoresHowMuchIsLeftToInference(t *testing.T) {
	bare := gatewayv1.ParentReference{Name: "web"}
	full := gatewayv1.ParentReference{
		Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")),
		Namespace: new(gatewayv1.Namespace("ns")), Name: "web",
	}
	if !gwapi.SameParentRef(&bare, &full, "ns") {
		t.Error("a bare and a full reference to the same Gateway differ")
	}
	if gwapi.SameParentRef(&bare, &full, "other") {
		t.Error("Gateways of two namespaces are the same")
	}
	section := full
	section.SectionName = new(gatewayv1.SectionName("http"))
	if gwapi.SameParentRef(&full, &section, "ns") {
		t.Error("a Gateway and its listener are the same")
	}
}

func TestNamespaceRule(t *testing.T) {
	from := func(from gatewayv1.FromNamespaces, selector *metav1.LabelSelector) *gatewayv1.AllowedRoutes {
		return &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &from, Selector: selector}}
	}
	dev := &metav1.LabelSelector{MatchLabels: map[string]string{"env": "dev"}}
	broken := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "env", Operator: "Like"}}}
	for sentence, c := range map[string]struct {
		allowed *gatewayv1.AllowedRoutes
		// admits lists which of own, dev and prod may attach.
		admits, fault string
	}{
		"absent means the Gateway's namespace": {nil, "own", ""},
		"Same":                                 {from("Same", nil), "own", ""},
		"All":                                  {from("All", nil), "own dev prod", ""},
		"None":                                 {from("None", nil), "", ""},
		"Selector":                             {from("Selector", dev), "dev", ""},
		"Selector without one admits nothing":  {from("Selector", nil), "", "selector is required"},
		"a broken selector admits nothing":     {from("Selector", broken), "", "not a valid label selector operator"},
		"an unknown word admits nothing":       {from("Some", dev), "", `"Some" is not one of`},
	} {
		t.Run(sentence, func(t *testing.T) {
			rule, err := gwapi.NamespacesOf(c.allowed, "own")
			if (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("got error %v, want %q", err, c.fault)
			}
			var admitted []string
			for _, namespace := range []string{"own", "dev", "prod"} {
				if rule.Admits(namespace, map[string]string{"env": namespace}) {
					admitted = append(admitted, namespace)
				}
			}
			if got := strings.Join(admitted, " "); got != c.admits {
				t.Errorf("admits %q, want %q", got, c.admits)
			}
		})
	}
}
