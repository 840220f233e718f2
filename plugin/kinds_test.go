package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kinds are routes of every kind to Services with and without a policy.
const kinds = "../test/golden/testdata/routes-of-every-kind-under-one-policy/in.yaml"

// TestInspectTellsRoutesOfEveryKindApart: what is passed through is no plaintext,
// what is mirrored fails nobody, and a connection that is closed has no status
// code.
func TestInspectTellsRoutesOfEveryKindApart(t *testing.T) {
	content, err := os.ReadFile(kinds)
	if err != nil {
		t.Fatal(err)
	}
	b := newShop(t)
	if err := os.Mkdir("kinds", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("kinds", "in.yaml"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := b.run("inspect", "-A", "-f", "kinds", "-o", "wide")
	if code != 0 {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	rows := strings.Split(strings.TrimSpace(stdout), "\n")
	for _, want := range [][]string{
		{"svc/api:443", "httproute/web", "api", "no endpoints"},
		{"svc/api:443", "httproute/web (mirror)", "api", "no endpoints"},
		{"svc/api:443", "grpcroute/calls", " api ", " 503 "},
		{"svc/api:443", "tlsroute/streams", "api", "no endpoints", "api.ends.example.com"},
		{"svc/api:443", "tlsroute/streams", "passthrough", "the client's", "api.through.example.com"},
		{"svc/bare:443", "grpcroute/calls", " 500 ", "UnsupportedProtocol"},
		{"svc/bare:443", "grpcroute/calls (mirror)", " refused ", "UnsupportedProtocol"},
		{"svc/bare:443", "tlsroute/streams", " refused ", "UnsupportedProtocol", "api.ends.example.com"},
		{"svc/bare:443", "tlsroute/streams", "passthrough", "api.through.example.com"},
	} {
		if !hasRow(rows, want) {
			t.Errorf("no row with all of %q in\n%s", want, stdout)
		}
	}
}

// hasRow says whether one row holds every word.
func hasRow(rows, words []string) bool {
	for _, row := range rows {
		all := true
		for _, word := range words {
			all = all && strings.Contains(row, word)
		}
		if all {
			return true
		}
	}
	return false
}
