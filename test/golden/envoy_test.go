package golden_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
	"github.com/backendtls/backendtls/internal/gwapi"
)

// translate is what each Gateway's Envoys are given.
func (o outcome) translate(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, key := range slices.SortedFunc(maps.Keys(o.result.Gateways), gwapi.CompareKeys) {
		resources, faults := envoy.Translate(o.result.Gateways[key])
		o.envoys[key] = resources
		encoded, err := envoytest.YAML(resources, faults)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("--- # " + key.String() + "\n" + string(encoded))
	}
	return text.String()
}
