package plugin

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/plugin/command"
)

// newShop is the bench with the fixture that has a Service for every verdict,
// and the servers behind them.
func newShop(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "shop")
	b.serve(b.identity("api"), "10.0.1.1:8443", "10.0.1.2:8443", "10.0.2.1:8443", "10.0.3.1:8443",
		"10.0.6.1:8443", "10.0.8.1:8443", "10.0.9.1:8443", "10.0.10.1:9443", "10.0.11.1:8443", "10.0.12.2:8443")
	b.serve(b.identity("expired"), "10.0.4.1:8443")
	b.serve(b.identity("named"), "10.0.5.1:8443")
	b.serve(b.identity("good"), "10.0.10.1:8443", "10.0.12.1:8443", "10.0.15.1:8443")
	b.listen(func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1024))
		_, _ = conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	}, "10.0.14.1:8443", "10.0.7.1:8080")
	return b
}

func TestInspectOfOneServiceSaysWhyRequestsFail(t *testing.T) {
	b := newShop(t)
	for _, name := range []string{
		"api", "pinned", "drift", "expired", "named", "skip", "plain", "secure", "invalid", "multi",
		"mixed", "gone", "text", "empty", "good",
	} {
		t.Run(name, func(t *testing.T) {
			b.golden(t, "inspect-"+name, "inspect", "svc/"+name, "-f", "shop", "-o", "table")
		})
	}
}

func TestOutputOfEveryVerb(t *testing.T) {
	b := newShop(t)
	for _, test := range []struct{ name, line string }{
		{"inspect-list", "inspect -f shop"},
		{"inspect-list-all", "inspect -A -f shop"},
		{"inspect-list-asked", "inspect -A --probe -f shop"},
		{"inspect-list-wide", "inspect -A --probe -o wide -f shop"},
		{"inspect-list-selected", "inspect -l app=api -f shop"},
		{"inspect-list-nothing", "inspect -n nowhere -f shop"},
		{"inspect-list-name", "inspect -A -o name -f shop"},
		{"inspect-list-jsonpath", "inspect -f shop -o jsonpath={.items[?(@.policy.mode.state==\"Active\")].service.name}"},
		{"inspect-json", "inspect svc/api -o json -f shop"},
		{"inspect-yaml", "inspect svc/skip -o yaml -f shop"},
		{"inspect-wide", "inspect svc/api -o wide -f shop"},
		{"inspect-not-asked", "inspect svc/api --no-probe -f shop"},
		{"inspect-gateway", "inspect gateway/strict -f shop"},
		{"inspect-gateway-table", "inspect gateways/web -f shop"},
		{"inspect-route", "inspect httproute/mixed svc/good -f shop"},
		{"inspect-policy", "inspect btlspolicy/multi-admin -f shop"},
		{"inspect-policy-idle", "inspect backendtlspolicy.gateway.networking.k8s.io/good-younger -f shop"},
		{"inspect-unreached", "inspect svc/lonely -n shop -f shop"},
		{"inspect-partly-missing", "inspect svc/good svc/nope -f shop"},
		{"inspect-one-file", "inspect svc/good -f shop/good.yaml"},
		{"inspect-elsewhere", "inspect svc/gone --address 10.0.15.1:8443 --sni good.example.com -f shop"},
		{"fetch-table", "fetch svc/api -f shop"},
		{"fetch-mixed", "fetch svc/mixed -f shop"},
		{"fetch-text", "fetch svc/text -f shop"},
		{"fetch-empty", "fetch svc/empty -f shop"},
		{"fetch-policy", "fetch btlspolicy/multi -f shop"},
		{"fetch-two", "fetch svc/good svc/named -f shop"},
		{"fetch-wide", "fetch svc/mixed -o wide -f shop"},
		{"fetch-yaml", "fetch svc/good -o yaml -f shop"},
		{"fetch-pem", "fetch svc/mixed -o pem -f shop"},
		{"fetch-all", "fetch -A -f shop"},
		{"fetch-selected", "fetch -l app=multi -f shop"},
		{"fetch-address", "fetch svc/gone --address 10.0.15.1:8443 --address 10.0.1.1:8443 --sni x.example -f shop"},
		{"verify-yes", "verify svc/good -f shop"},
		{"verify-no", "verify svc/api -f shop"},
		{"verify-pin", "verify svc/drift -f shop"},
		{"verify-mode", "verify svc/skip -f shop"},
		{"verify-ignore-mode", "verify svc/skip --ignore-mode -f shop"},
		{"verify-mixed", "verify svc/mixed -f shop"},
		{"verify-no-answer", "verify svc/gone -f shop"},
		{"verify-no-endpoints", "verify svc/empty -f shop"},
		{"verify-plaintext", "verify svc/plain -f shop"},
		{"verify-unreached", "verify btlspolicy/lonely -n shop -f shop"},
		{"verify-all", "verify -A -f shop"},
		{"verify-wide", "verify -l app=api -o wide -f shop"},
		{"verify-json", "verify svc/named -o json -f shop"},
		{"verify-nothing", "verify -n nowhere -f shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.golden(t, test.name, strings.Fields(test.line)...)
		})
	}
}

// TestWhatTheOperatorWroteComesFirst edits a policy after its status was
// written, and a status that says something else than the files.
func TestWhatTheOperatorWroteComesFirst(t *testing.T) {
	b := newShop(t)
	path := filepath.Join("shop", ".backendtls", "status", "BackendTLSPolicy.default.api.yaml")
	status, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := strings.Replace(string(status),
		`{type: Accepted, status: "True", reason: Accepted`, `{type: Accepted, status: "False", reason: Conflicted`, 1)
	if err := os.WriteFile(path, []byte(refused), 0o600); err != nil {
		t.Fatal(err)
	}
	b.golden(t, "status-differs", "inspect", "svc/api", "--no-probe", "-f", "shop")

	policy := filepath.Join("shop", "api.yaml")
	content, err := os.ReadFile(policy)
	if err != nil {
		t.Fatal(err)
	}
	edited := strings.Replace(string(content), "hostname: api.example.com", "hostname: edited.example.com", 1)
	if err := os.WriteFile(policy, []byte(edited), 0o600); err != nil {
		t.Fatal(err)
	}
	b.golden(t, "status-stale", "inspect", "svc/api", "--no-probe", "-f", "shop")

	spoiled := strings.Replace(string(content), "hostname: api.example.com", "hostnam: api.example.com", 1)
	if err := os.WriteFile(policy, []byte(spoiled), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stdout, _ := b.run("inspect", "svc/api", "--no-probe", "-f", "shop")
	if !strings.Contains(strings.Join(strings.Fields(stdout), " "), "enforces the former until this one is mended") {
		t.Errorf("of a policy that a running operator keeps:\n%s", stdout)
	}
}

func TestPortsAreNamedByNumberOrName(t *testing.T) {
	b := newShop(t)
	for _, target := range []string{"svc/multi:8443", "service/multi:admin", "Services/multi:admin"} {
		code, stdout, stderr := b.run("fetch", target, "-f", "shop")
		if code != 0 || !strings.HasPrefix(stdout, "svc/multi:8443 (port admin") {
			t.Errorf("%s: exit code %d: %s%s", target, code, stdout, stderr)
		}
	}
}

func TestNothingIsAskedUnlessItIsNamed(t *testing.T) {
	for line, want := range map[string]bool{
		"inspect -f shop":                        false,
		"inspect svc/api --no-probe -f shop":     false,
		"inspect svc/api -o yaml -f shop":        true,
		"inspect -l app=api --probe -f shop":     true,
		"inspect gateway/web -o name -f shop":    true,
		"__complete fetch -f shop svc/a":         false,
		"inspect btlspolicy/api -o wide -f shop": true,
	} {
		t.Run(line, func(t *testing.T) {
			b := newBench(t, "shop")
			asked := make(chan struct{}, 100)
			b.listen(func(net.Conn) { asked <- struct{}{} }, "10.0.1.1:8443")
			b.run(strings.Fields(line)...)
			if got := len(asked) > 0; got != want {
				t.Errorf("asked: %v, want %v", got, want)
			}
		})
	}
}

func TestANoOfOneTargetIsNotHiddenByAnErrorOfAnother(t *testing.T) {
	b := newShop(t)
	code, stdout, stderr := b.run("verify", "svc/api", "svc/nope", "-f", "shop")
	if code != command.No || !strings.Contains(stdout, "UntrustedIssuer") || !strings.Contains(stderr, "svc/nope") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if code, _, _ = b.run("verify", "svc/good", "svc/nope", "-f", "shop"); code != command.NoAnswer {
		t.Errorf("yes and no answer: exit code %d, want %d", code, command.NoAnswer)
	}
}
