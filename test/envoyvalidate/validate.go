package envoyvalidate

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/envoy/envoytest"
)

// Resources says what Envoy has against the resources; nil if it takes them.
func Resources(tb testing.TB, resources envoy.Resources) error {
	tb.Helper()
	bootstrap, err := envoytest.Static(resources, "/nonexistent/admin.sock")
	if err != nil {
		tb.Fatal(err)
	}
	return Bootstrap(tb, bootstrap)
}

// Bootstrap says what Envoy has against the bootstrap; nil if it takes it.
func Bootstrap(tb testing.TB, bootstrap *bootstrapv3.Bootstrap) error {
	tb.Helper()
	output, err := exec.CommandContext(tb.Context(), Binary(tb),
		"--mode", "validate", "--config-path", write(tb, bootstrap), "--log-level", "warning").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

// Binary is the path of Envoy, which is in the environment variable ENVOY.
// Without it the test fails: a check that is left out silently is none.
func Binary(tb testing.TB) string {
	tb.Helper()
	binary := os.Getenv("ENVOY")
	if binary == "" {
		tb.Fatal("ENVOY is not set: it must be the path of an Envoy 1.40 or newer (make test sets it)")
	}
	return binary
}

// write puts a bootstrap into a file for Envoy.
func write(tb testing.TB, bootstrap *bootstrapv3.Bootstrap) string {
	tb.Helper()
	text, err := envoy.JSON(bootstrap)
	if err != nil {
		tb.Fatal(err)
	}
	file := filepath.Join(tb.TempDir(), "bootstrap.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}
