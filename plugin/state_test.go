package plugin

import (
	"os"
	"strings"
	"testing"
)

// TestStatusElsewhereIsReadWhereItIsSaidToBe is for operators that run with
// --state because their directory is read-only.
func TestStatusElsewhereIsReadWhereItIsSaidToBe(t *testing.T) {
	b := newShop(t)
	_, beside, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop")
	if err := os.Rename("shop/.backendtls", "elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, without, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop"); without == beside {
		t.Fatal("the fixture's status changes nothing")
	}
	if _, named, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop", "--state", "elsewhere"); named != beside {
		t.Errorf("with --state:\n%s\nwant what it was beside the files:\n%s", named, beside)
	}
}

// TestAListenerThatIsDownIsSaidBeforeTheBackend is for the person whom nobody
// answers although the certificates are fine.
func TestAListenerThatIsDownIsSaidBeforeTheBackend(t *testing.T) {
	b := newShop(t)
	status := `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
namespace: default
name: web
generation: 1
status:
  listeners:
  - name: http
    attachedRoutes: 1
    conditions:
    - type: Accepted
      status: "False"
      reason: PortUnavailable
      message: 'port: 10080 is in use'
      observedGeneration: 1
      lastTransitionTime: "2026-11-21T09:00:00Z"
`
	if err := os.WriteFile("shop/.backendtls/status/Gateway.default.web.yaml", []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := b.run("inspect", "svc/good", "--no-probe", "-f", "shop")
	want := "  NOT SERVED: listener gateway/web http: port: 10080 is in use (PortUnavailable)\n"
	if !strings.Contains(stdout, want) || !strings.Contains(stdout, "not served") {
		t.Errorf("inspect svc/good:\n%s%s", stdout, stderr)
	}
	if _, stdout, _ = b.run("inspect", "-f", "shop"); !strings.Contains(stdout, "not served") {
		t.Errorf("inspect:\n%s", stdout)
	}
}
