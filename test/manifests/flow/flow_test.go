package flow_test

import (
	"net/netip"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/test/manifests/flow"
)

// cases are worlds of a few policies and what they let through.
type testCase struct {
	Name           string                       `json:"name"`
	Policies       []networkingv1.NetworkPolicy `json:"policies"`
	BlocksMeanPods bool                         `json:"blocksMeanPods"`
	Allowed        []string                     `json:"allowed"`
	Denied         []string                     `json:"denied"`
}

// ends are who the cases speak of.
var ends = map[string]flow.End{
	"web": {
		Namespace: "shop", Labels: map[string]string{"app": "web"}, Ports: map[string]int32{"http": 8080},
		Address: netip.MustParseAddr("10.0.0.1"),
	},
	"db":      {Namespace: "shop", Labels: map[string]string{"app": "db"}, Address: netip.MustParseAddr("10.0.0.2")},
	"other":   {Namespace: "bank", Labels: map[string]string{"app": "web"}, Address: netip.MustParseAddr("10.0.1.1")},
	"outside": {Address: netip.MustParseAddr("192.0.2.7")},
	"six":     {Address: netip.MustParseAddr("2001:db8::7")},
}

func TestFlowsAreWhatTheAPISays(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	if err := yaml.UnmarshalStrict(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			world := flow.World{
				Namespaces: map[string]map[string]string{"bank": {"tier": "gold"}},
				Policies:   c.Policies, BlocksMeanPods: c.BlocksMeanPods,
			}
			for want, flows := range map[bool][]string{true: c.Allowed, false: c.Denied} {
				for _, text := range flows {
					connection, err := flow.Parse(text)
					if err != nil {
						t.Fatal(err)
					}
					got := world.Allows(ends[connection.From], ends[connection.To], connection.Target)
					if got != want {
						t.Errorf("%s: allowed is %t, want %t", text, got, want)
					}
				}
			}
		})
	}
}

func TestALineThatNamesNoFlowIsRefused(t *testing.T) {
	for _, line := range []string{"", "a", "a -> b", "a -> b TCP", "a -> b TCP/x", "a -> b ICMP/1", "a to b TCP/1", "a -> b TCP/70000"} {
		if connection, err := flow.Parse(line); err == nil {
			t.Errorf("%q is read as %v", line, connection)
		}
	}
	connection, err := flow.Parse("a  ->  b UDP/53")
	want := flow.Connection{From: "a", To: "b", Target: flow.Target{Protocol: corev1.ProtocolUDP, Port: 53}}
	if err != nil || connection != want {
		t.Errorf("got %v, %v, want %v", connection, err, want)
	}
}
