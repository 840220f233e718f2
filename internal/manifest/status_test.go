package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/report"
)

var noon = metav1.NewTime(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))

// nasty is text that a careless encoder would not give back.
const nasty = "yes: no\n- \"quoted\" 'twice' #comment\ttab \u2028 \U0001f600 ~ {{ }} &a *b !c %d @e `f`"

func conditions(text string) []metav1.Condition {
	return []metav1.Condition{{
		Type: "Accepted", Status: "True", Reason: "yes", Message: text, ObservedGeneration: 3, LastTransitionTime: noon,
	}}
}

func TestAStatusComesBackFromItsFileAsItWas(t *testing.T) {
	ref := gatewayv1.ParentReference{Name: "web", Namespace: new(gatewayv1.Namespace("infra"))}
	for key, status := range map[gwapi.Key]report.Report{
		gwapi.KeyOf(gwapi.KindGatewayClass, "", "backendtls"): {Generation: 3, Conditions: conditions(nasty)},
		gwapi.KeyOf(gwapi.KindListenerSet, "a", "b"):          {Generation: 3, Conditions: conditions("")},
		gwapi.KeyOf(gwapi.KindGateway, "a", "on"): {
			Generation: 3, Conditions: conditions(nasty),
			Listeners: []gatewayv1.ListenerStatus{{Name: "http", AttachedRoutes: 2, Conditions: conditions("x")}},
			Addresses: []gatewayv1.GatewayStatusAddress{{Type: new(gatewayv1.IPAddressType), Value: "127.0.0.1"}},
		},
		gwapi.KeyOf(gwapi.KindHTTPRoute, "a", "b.c"): {Generation: 3, Parents: []gatewayv1.RouteParentStatus{{
			ParentRef: ref, ControllerName: gwapi.ControllerName, Conditions: conditions(nasty),
		}}},
		gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "a", "1e3"): {Generation: 3, Ancestors: []gatewayv1.PolicyAncestorStatus{{
			AncestorRef: ref, ControllerName: gwapi.ControllerName, Conditions: conditions(nasty),
		}}},
	} {
		data, err := manifest.EncodeStatus(key, status)
		if err != nil {
			t.Fatal(err)
		}
		gotKey, got, err := manifest.DecodeStatus(data)
		if err != nil {
			t.Fatalf("%s: %v\n%s", key, err, data)
		}
		equalTimes := cmp.Comparer(func(a, b metav1.Time) bool { return a.Equal(&b) })
		if diff := cmp.Diff(status, got, equalTimes); gotKey != key || diff != "" {
			t.Errorf("%s comes back as %s: %s", key, gotKey, diff)
		}
	}
	if _, err := manifest.EncodeStatus(gwapi.KeyOf(gwapi.KindSecret, "a", "b"), report.Report{}); err == nil {
		t.Error("a status of a Secret")
	}
}

func TestStatusFilesHaveNamesOfTheirOwn(t *testing.T) {
	long := strings.Repeat("a.", 126) + "a"
	names := map[string]gwapi.Key{}
	for _, key := range []gwapi.Key{
		gwapi.KeyOf(gwapi.KindGateway, "a", "b.c"), gwapi.KeyOf(gwapi.KindGateway, "a-b", "c"),
		gwapi.KeyOf(gwapi.KindGatewayClass, "", "a.b.c"), gwapi.KeyOf(gwapi.KindGateway, "a", "b"),
		gwapi.KeyOf(gwapi.KindHTTPRoute, strings.Repeat("n", 63), long),
		gwapi.KeyOf(gwapi.KindHTTPRoute, strings.Repeat("n", 63), long[:251]+"bb"),
	} {
		name := manifest.StatusFile(key)
		if other, taken := names[name]; taken {
			t.Errorf("%s and %s share %s", key, other, name)
		}
		names[name] = key
		if len(name) > 255 || strings.ContainsAny(name, "/\x00") || !strings.HasSuffix(name, ".yaml") {
			t.Errorf("%q is no name for a file", name)
		}
	}
	if got := manifest.StatusFile(gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", "api")); got != "BackendTLSPolicy.shop.api.yaml" {
		t.Errorf("got %s", got)
	}
	if got := manifest.StatusFile(gwapi.KeyOf(gwapi.KindGatewayClass, "", "backendtls")); got != "GatewayClass..backendtls.yaml" {
		t.Errorf("got %s", got)
	}
}

func TestAStatusFileThatIsNotWhatItsNameSaysCountsAsAbsent(t *testing.T) {
	state := t.TempDir()
	if statuses, problems := manifest.ReadStatus(filepath.Join(state, "none")); len(statuses)+len(problems) != 0 {
		t.Errorf("without a directory: %v %v", statuses, problems)
	}
	if err := os.Mkdir(manifest.StatusDir(state), 0o700); err != nil {
		t.Fatal(err)
	}
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "a", "b")
	good, err := manifest.EncodeStatus(key, report.Report{Generation: 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		manifest.StatusFile(key):       string(good),
		"BackendTLSPolicy.a.copy.yaml": string(good),
		"Gateway.a.b.yaml":             "kind: [",
		"Secret.a.b.yaml":              "{apiVersion: v1, kind: Secret, name: b, namespace: a, generation: 1, status: {}}",
		"Gateway.a.c.yaml":             strings.Replace(string(good), "status:", "stat:", 1),
		"Gateway.a.d.yaml":             "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, name: d, namespace: a, generation: 1, status: {conditions: 7}}",
		".writing-x":                   "half",
	} {
		if err := os.WriteFile(filepath.Join(manifest.StatusDir(state), name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	statuses, problems := manifest.ReadStatus(state)
	if len(statuses) != 1 || statuses[key].Generation != 2 || len(problems) != 5 {
		t.Errorf("statuses %v, problems %v", statuses, problems)
	}
}

func TestThePluginPredictsTheGenerationOfAChange(t *testing.T) {
	set, _ := after(map[string]string{"a.yaml": tlsPolicy("x", "one", "a.example") + httpService("x", 1)})
	counted := manifest.Generations{}.Next(set)
	data, err := counted.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := manifest.DecodeGenerations(data)
	if diff := cmp.Diff(counted, read); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	if len(counted) != 1 {
		t.Errorf("counted %v, want the policy alone", counted)
	}
	changed, _ := after(map[string]string{"a.yaml": tlsPolicy("x", "one", "b.example")})
	for want, set := range map[int64]*manifest.Set{1: set, 2: changed} {
		got := set.WithGenerations(read).Snapshot().TLSPolicies.Sorted()[0].Generation
		if got != want {
			t.Errorf("generation %d, want %d", got, want)
		}
	}
	for _, bad := range []string{"{", `{"a/b": {"generation": 1}}`, `{"a/b/c": {"generation": 0}}`} {
		if _, err := manifest.DecodeGenerations([]byte(bad)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}
