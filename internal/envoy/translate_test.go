package envoy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
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
