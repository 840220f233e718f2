package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestAnAllowanceThatIsWithdrawnEndsTheMode: while a mode is in force and requests
// flow over kept connections, whoever may write GatewayParameters takes back what
// allows it, in each of the ways that there are. At once, and at the latest when
// status says SecurityDegraded=False, no request is answered over a connection
// whose certificate nobody verified.
func TestAnAllowanceThatIsWithdrawnEndsTheMode(t *testing.T) {
	f := newFixtures(t)
	allowed := func(more string) string {
		return "{backendTLS: {allowedModes: [InsecureSkipVerification], maxDuration: 24h" + more + "}}"
	}
	for name, withdraw := range map[string]func(w *world){
		"no mode is allowed any more":   func(w *world) { w.base("{backendTLS: {allowedModes: []}}") },
		"backendTLS is removed":         func(w *world) { w.base("{}") },
		"another mode alone is allowed": func(w *world) { w.base("{backendTLS: {allowedModes: [InsecureAllowExpired]}}") },
		"the longest duration is lower": func(w *world) { w.base("{backendTLS: {allowedModes: [InsecureSkipVerification], maxDuration: 5m}}") },
		"other namespaces are selected": func(w *world) { w.base(allowed(", namespaces: {matchLabels: {env: prod}}")) },
		"the parameters are deleted":    func(w *world) { w.write("parameters.yaml", "# deleted\n") },
		"the Gateway's own allow none": func(w *world) {
			w.write("own.yaml", "apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: own}\nspec: {backendTLS: {}}\n")
			base, err := os.ReadFile(filepath.Join(w.dir, "base.yaml"))
			if err != nil {
				w.t.Fatal(err)
			}
			const class = "  gatewayClassName: backendtls\n"
			w.write("base.yaml", strings.Replace(string(base), class, class+
				"  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: own}}\n", 1))
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w := newWorld(t)
			w.base(allowed(""))
			w.write("api.yaml", f.bundles+service("api", "api.test", serve(t, f.self), "")+
				policy("api", f.trusted, f.mode("InsecureSkipVerification")))
			w.start()
			w.eventually("200 while nobody verifies", func() bool {
				return w.policyCondition("api", "SecurityDegraded").Status == "True" && w.get("api.test") == http.StatusOK
			})
			tr := w.traffic("api.test")
			tr.both(w, time.Time{}, http.StatusOK)
			withdraw(w)
			changed := time.Now()
			w.eventually("status says that the mode is over and not allowed", func() bool {
				return w.policyCondition("api", "SecurityDegraded").Status == "False" &&
					w.policyCondition("api", "Accepted").Reason == "InsecureVerificationNotAllowed"
			})
			bound := time.Now()
			tr.both(w, bound, http.StatusInternalServerError)
			tr.none(t, bound, http.StatusOK, "the mode was over, "+bound.Sub(changed).String()+" after its allowance was")
			tr.end()
		})
	}
}
