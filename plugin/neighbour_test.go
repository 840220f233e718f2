package plugin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/plugin/apiservertest"
)

// newNeighbour is a cluster in which another implementation serves the Gateways:
// its objects with the statuses that it writes, and servers behind the Services.
func newNeighbour(t *testing.T, implementation string) *clusterShop {
	t.Helper()
	fixture := "neighbours/" + implementation
	s := &clusterShop{bench: newBench(t, fixture), addresses: map[types.NamespacedName]string{}}
	s.api = apiservertest.New(t, s.objects(fixture)...)
	s.api.Now = func() time.Time { return now }
	for _, address := range s.addresses {
		identity := "good"
		switch address {
		case "10.2.1.2", "10.2.2.9", "10.2.3.2":
			identity = "api"
		case "10.2.2.2":
			identity = "named"
		}
		s.serve(s.identity(identity), address+":8443")
	}
	return s
}

// TestWhatIsSaidOfTheGatewaysOfOthers: whose they are, what they ignore, what
// their status says and how old that is, and what they make of the certificates
// that are served, as far as it is known how they verify.
func TestWhatIsSaidOfTheGatewaysOfOthers(t *testing.T) {
	for implementation, services := range map[string]string{
		"envoygateway": "api self bad lost edited pinned silent plain",
		"istio":        "api named alternate ruled ported ignored pinned mesh self plain",
		"kgateway":     "api self config hashed two bad plain",
		"several":      "both bare theirs",
	} {
		t.Run(implementation, func(t *testing.T) {
			s := newNeighbour(t, implementation)
			prefix := "neighbour-" + implementation + "-"
			for _, test := range []struct{ name, line string }{
				{"list", "inspect -n shop"},
				{"wide", "inspect -n shop --probe --via direct -o wide"},
				{"verify", "verify -n shop --via direct"},
				{"json", "inspect svc/" + strings.Fields(services)[0] + " -n shop --via direct -o json"},
				{"verify-json", "verify svc/" + strings.Fields(services)[0] + " -n shop --via direct -o json"},
			} {
				t.Run(test.name, func(t *testing.T) { s.goldenCommand(t, prefix+test.name, test.line) })
			}
			for name := range strings.FieldsSeq(services) {
				t.Run(name, func(t *testing.T) {
					s.goldenCommand(t, prefix+name, "inspect svc/"+name+" -n shop --via direct")
				})
			}
			// Files hold neither statuses of others nor their clusters, and no untruth.
			t.Run("files", func(t *testing.T) {
				s.golden(t, prefix+"files", "inspect", "-n", "shop", "--probe", "-o", "wide", "-f", "neighbours/"+implementation)
			})
		})
	}
}

// TestWritingVerbsRefuseWhereNobodyWouldObey, and name the form that everybody
// obeys.
func TestWritingVerbsRefuseWhereNobodyWouldObey(t *testing.T) {
	for implementation, name := range map[string]string{
		"envoygateway": "api", "istio": "api", "kgateway": "api", "several": "both",
	} {
		t.Run(implementation, func(t *testing.T) {
			s := newNeighbour(t, implementation)
			for verb, flags := range map[string]string{
				"pin": "--via direct --yes", "skip-verify": "--for 1h --reason x --yes", "pin-leaf": "--form leaf --via direct --yes",
			} {
				words := strings.Replace(verb, "pin-leaf", "pin", 1)
				if verb == "skip-verify" {
					words += " on"
				}
				line := words + " svc/" + name + " -n shop " + flags
				s.goldenCommand(t, "neighbour-"+implementation+"-"+verb, line)
				args := append(strings.Fields(line), "-f", "neighbours/"+implementation)
				args = slices.DeleteFunc(args, func(arg string) bool { return arg == "--via" || arg == "direct" })
				s.golden(t, "neighbour-"+implementation+"-"+verb+"-files", args...)
			}
			for _, request := range s.api.Requests() {
				if request.Writes() {
					t.Errorf("it writes: %+v", request)
				}
			}
		})
	}
}

// TestTheFormThatEverybodyObeys writes standard fields only, says so, and waits
// for no Envoy of ours.
func TestTheFormThatEverybodyObeys(t *testing.T) {
	for implementation, name := range map[string]string{
		"envoygateway": "plain", "istio": "plain", "kgateway": "plain", "several": "bare",
	} {
		t.Run(implementation, func(t *testing.T) {
			s := newNeighbour(t, implementation)
			line := "pin svc/" + name + " -n shop --form ca --hostname good.example.com"
			s.golden(t, "neighbour-"+implementation+"-pin-ca-files",
				append(strings.Fields(line), "-f", "neighbours/"+implementation)...)
			s.goldenCommand(t, "neighbour-"+implementation+"-pin-ca", line+" --via direct --yes")
			policy := s.api.Get("backendtlspolicies", "shop", name)
			if policy == nil {
				t.Fatal("no policy was written")
			}
			options, _, err := unstructured.NestedMap(policy.Object, "spec", "options")
			if err != nil || len(options) > 0 {
				t.Errorf("options %v: %v", options, err)
			}
			refs, _, err := unstructured.NestedSlice(policy.Object, "spec", "validation", "caCertificateRefs")
			if err != nil || len(refs) != 1 {
				t.Errorf("caCertificateRefs %v: %v", refs, err)
			}
		})
	}
}

// TestWhatOthersConfigureMayStayUnread: a right that lacks is one warning, leaves
// the verdict to the other controller and says why; a kind that is not installed
// is nothing; an older version is read.
func TestWhatOthersConfigureMayStayUnread(t *testing.T) {
	for _, test := range []struct {
		name                  string
		change                func(*clusterShop)
		warns                 bool
		api, ruled, apiReason string
	}{
		{
			"forbidden", func(s *clusterShop) {
				s.api.Allow = func(_, resource, _, _ string) bool { return resource != "destinationrules" }
			}, true, "Foreign", "Foreign", "is not known: you may not list destinationrules.networking.istio.io",
		},
		{"not installed", func(s *clusterShop) { s.api.Unserved = []string{"destinationrules"} }, false, "Passes", "Passes", ""},
		{
			"an older version", func(s *clusterShop) {
				s.api.Unserved, s.api.Older = []string{"destinationrules/v1"}, []string{"destinationrules/v1beta1"}
			}, false, "Passes", "Foreign", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newNeighbour(t, "istio")
			test.change(s)
			for service, want := range map[string]string{"api": test.api, "ruled": test.ruled} {
				const form = " -n shop --via direct -o jsonpath={.items[0].verdict.result}/{.items[0].verdict.message}"
				_, stdout, stderr := s.command("inspect svc/" + service + form)
				if !strings.HasPrefix(stdout, want+"/") || service == "api" && !strings.Contains(stdout, test.apiReason) {
					t.Errorf("svc/%s: %s, want %s", service, stdout, want)
				}
				const warning = "warning: you may not list destinationrules.networking.istio.io: "
				if strings.Count(stderr, "warning") != strings.Count(stderr, warning) || strings.Contains(stderr, warning) != test.warns {
					t.Errorf("svc/%s: stderr %q", service, stderr)
				}
			}
		})
	}
	// Where no such Gateway leads, nobody asks.
	s := newNeighbour(t, "envoygateway")
	s.command("inspect -A")
	for _, request := range s.api.Requests() {
		if request.Resource == "destinationrules" || request.Resource == "backendconfigpolicies" {
			t.Errorf("it asks for what concerns nobody: %+v", request)
		}
	}
}
