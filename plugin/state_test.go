package plugin

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
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

// TestWhatOnlyTheOperatorCannotReachIsNotCalledA503: Envoy connects from
// elsewhere, and is answered perhaps.
func TestWhatOnlyTheOperatorCannotReachIsNotCalledA503(t *testing.T) {
	b := newShop(t)
	status := `apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
namespace: default
name: good
generation: 1
status:
  ancestors:
  - ancestorRef: {group: gateway.networking.k8s.io, kind: Gateway, name: web, namespace: default}
    controllerName: backendtls.dev/gateway-controller
    conditions:
    - type: BackendsVerified
      status: "False"
      reason: Unreachable
      message: '0 of 1 endpoints pass the policy as written: 1 Unreachable'
      observedGeneration: 1
      lastTransitionTime: "2026-11-21T09:00:00Z"
`
	if err := os.WriteFile("shop/.backendtls/status/BackendTLSPolicy.default.good.yaml", []byte(status), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := b.run("inspect", "-f", "shop")
	if row := []string{"svc/good:443", "unreachable (3h ago)", "Unreachable"}; !hasRow(strings.Split(stdout, "\n"), row) {
		t.Errorf("no row with all of %q in\n%s%s", row, stdout, stderr)
	}
	_, stdout, stderr = b.run("inspect", "svc/good", "--no-probe", "-f", "shop")
	for _, want := range []string{
		"unreachable: the operator could not reach the endpoints, and Envoy may all the same: requests may pass or fail; " +
			"0 of 1 endpoints pass the policy as written: 1 Unreachable (Unreachable)",
		"fix: kubectl backendtls verify svc/good -f shop",
	} {
		if !strings.Contains(strings.Join(strings.Fields(stdout), " "), want) {
			t.Errorf("no %q in\n%s%s", want, stdout, stderr)
		}
	}
	_, stdout, stderr = b.run("inspect", "svc/good", "--no-probe", "-f", "shop", "-o", "json")
	var list cliv1alpha1.PathList
	if err := json.Unmarshal([]byte(stdout), &list); err != nil {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	ours := slices.DeleteFunc(list.Items, func(path cliv1alpha1.Path) bool { return path.Gateway.Name != "web" })
	if len(ours) != 1 || ours[0].Verdict.Result != "Unreachable" || ours[0].Verdict.Status != 0 {
		t.Errorf("the paths on gateway/web are %+v", ours)
	}
}
