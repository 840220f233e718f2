package envoy_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// TestTranslationsMatchTheirGoldenFiles compares whole translations. After a
// deliberate change: UPDATE_GOLDEN=1 go test ./internal/envoy/, and read the
// difference.
func TestTranslationsMatchTheirGoldenFiles(t *testing.T) {
	for name, g := range cases(t) {
		t.Run(name, func(t *testing.T) {
			got := render(t, g)
			if again := render(t, g); !bytes.Equal(got, again) {
				t.Error("the same model gives different bytes")
			}
			file := filepath.Join("testdata", name+".golden.yaml")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s differs (-want +got):\n%s", file, diff)
			}
		})
	}
}

func render(t *testing.T, g model.Gateway) []byte {
	t.Helper()
	resources, faults := envoy.Translate(g)
	text, err := envoytest.YAML(resources, faults)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// deterministic is the encoding of messages in the order of their names.
func deterministic(t *testing.T, messages map[string]proto.Message) []byte {
	t.Helper()
	var all []byte
	for _, name := range slices.Sorted(maps.Keys(messages)) {
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(messages[name])
		if err != nil {
			t.Fatalf("%s cannot be sent: %v", name, err)
		}
		all = append(append(all, name...), text...)
	}
	return all
}

func TestAnInsecureClusterLapsesAfterItsMode(t *testing.T) {
	f := read(t)
	strict := backend("strict", f.strict())
	ending := backend("ending", f.strict(lasting(model.InsecureSkipVerification)))
	// A strict trust may carry a time left over from its mode.
	strict.Trust.Until = until
	plain := backend("plain", nil)
	resources, _ := envoy.Translate(gateway([]model.Backend{strict, ending, plain}))
	for _, want := range []model.HeldCluster{
		{Name: strict.Name(), Policy: policy, Mode: model.Standard},
		{
			Name: ending.Name(), Policy: policy, Mode: model.InsecureSkipVerification,
			Lapses: until.Add(envoy.Grace),
		},
		{Name: plain.Name()},
	} {
		if got := resources.Clusters[want.Name].Held; got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestManyServersDoNotListEachOther(t *testing.T) {
	f := read(t)
	pair := model.KeyPair{
		Secret: gwapi.KeyOf(gwapi.KindSecret, "default", "server"), Chain: f.serverChain, Key: f.serverKey,
	}
	g := gateway(nil)
	g.Listeners[0].Protocol = model.HTTPS
	g.Listeners[0].Servers = []model.Server{
		{Name: "wild", Hostname: "*.a.example.com", Certificates: []model.KeyPair{pair}},
	}
	for i := range 100 {
		for _, zone := range []string{"a", "b"} {
			g.Listeners[0].Servers = append(g.Listeners[0].Servers, model.Server{
				Hostname: fmt.Sprintf("h%d.%s.example.com", i, zone), Certificates: []model.KeyPair{pair},
			})
		}
	}
	resources, _ := envoy.Translate(g)
	if got := len(resources.Routes["https/8080/h1.b.example.com"].GetVirtualHosts()); got != 1 {
		t.Errorf("a server lists %d hosts", got)
	}
	// The hosts that the wildcard's own virtual host would answer instead.
	if got := len(resources.Routes["https/8080/*.a.example.com"].GetVirtualHosts()); got != 101 {
		t.Errorf("the wildcard lists %d hosts", got)
	}
}
