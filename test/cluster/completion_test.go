package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestKubectlCompletesWhatIsInTheCluster is the Tab key after `kubectl
// backendtls`: kubectl runs kubectl_complete-backendtls, which `completion
// kubectl` prints.
func TestKubectlCompletesWhatIsInTheCluster(t *testing.T) {
	team := newSpace(t)
	service := &corev1.Service{Name: "payments", Namespace: team.name}
	service.Spec.Ports = []corev1.ServicePort{{Port: 443}}
	if err := here.client.Create(t.Context(), service); err != nil {
		t.Fatal(err)
	}
	script, err := here.run(t.Context(), "backendtls", "completion", "kubectl")
	if err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	if err := os.WriteFile(filepath.Join(own, "kubectl_complete-backendtls"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, line, want string }{
		{"verbs", "ins", "inspect\t"},
		{"kinds", "fetch ", "svc/\nbtlspolicy/\n"},
		{"Services", "fetch -n " + team.name + " svc/", "svc/payments\n"},
		{"namespaces", "inspect -n ", team.name + "\n"},
		{"contexts", "inspect --context ", "backendtls-local\n"},
		{"forms", "pin --form ", "spki\ncertificate\nleaf\nca\n"},
		{"formats", "verify -o ", "json\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			arguments := append([]string{"__complete", "backendtls"}, strings.Split(test.line, " ")...)
			command := exec.CommandContext(t.Context(), here.kubectl, arguments...)
			command.Env = append(os.Environ(), "KUBECONFIG="+here.kubeconfig, "PATH="+strings.Join([]string{
				own, here.bin, filepath.Dir(here.kubectl), os.Getenv("PATH"),
			}, string(os.PathListSeparator)))
			if output, err := command.Output(); err != nil || !strings.Contains(string(output), test.want) {
				t.Errorf("%v\n%swant\n%s", err, output, test.want)
			}
		})
	}
}
