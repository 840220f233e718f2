package plugin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// strayPolicy targets what is not there, in different ways.
func strayPolicy(target string) string {
	return `apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: stray}
spec:
  targetRefs: [` + target + `]
  validation:
    caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]
    hostname: stray.example.com
`
}

// TestAPolicyThatMissesItsTargetIsSaidToDoSo, by every verb that takes it, with
// the exit code of an error, and by inspect of the Service that was meant.
func TestAPolicyThatMissesItsTargetIsSaidToDoSo(t *testing.T) {
	for _, test := range []struct{ name, target, want, service string }{
		{
			"a Service that does not exist", `{group: "", kind: Service, name: plan}`,
			"btlspolicy/stray decides about no port: svc/plan does not exist in namespace default of shop; did you mean svc/plain?", "",
		},
		{
			"a misspelled kind", `{group: "", kind: Servce, name: plain}`,
			`its targetRefs name Servce/plain, which is no Service: want group "" and kind Service`, "plain",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newShop(t)
			if err := os.WriteFile(filepath.Join("shop", "stray.yaml"), []byte(strayPolicy(test.target)), 0o600); err != nil {
				t.Fatal(err)
			}
			for verb, want := range map[string]int{"inspect": 1, "fetch": 1, "verify": 2} {
				code, stdout, stderr := b.run(verb, "btlspolicy/stray", "-f", "shop")
				if code != want || !strings.Contains(stderr, test.want) {
					t.Errorf("%s: exit code %d, want %d: %s%s", verb, code, want, stdout, stderr)
				}
			}
			if test.service == "" {
				return
			}
			_, stdout, _ := b.run("inspect", "svc/"+test.service, "-o", "json", "-f", "shop")
			if want := strings.ReplaceAll("btlspolicy/stray misses it: "+test.want, `"`, `\"`); !strings.Contains(stdout, want) {
				t.Errorf("inspect svc/%s does not say %q:\n%s", test.service, want, stdout)
			}
		})
	}
}

// TestAPinUnderARefusedModeNamesTheVerbThatEndsIt: the pin alone does not help.
func TestAPinUnderARefusedModeNamesTheVerbThatEndsIt(t *testing.T) {
	b := newShop(t)
	_, stdout, stderr := b.run("pin", "svc/skip", "--replace", "-f", "shop")
	if !strings.Contains(strings.Join(strings.Fields(stderr), " "), "`skip-verify off` ends the mode that is refused") {
		t.Errorf("%s%s", stdout, stderr)
	}
}
