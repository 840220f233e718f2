package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/test/pki"
)

// newTeam is a team whose CA issued the certificate of its backends, served
// through two Envoys.
func newTeam(t *testing.T, replicas int) (team *space, authority *pki.Identity, address string) {
	t.Helper()
	team = newSpace(t)
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	authority, err := pki.SelfSigned(pki.Request{Name: "CA of the team", CA: true, NotBefore: from, NotAfter: to})
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(pki.Request{Name: "api", DNS: []string{hostname}, NotBefore: from, NotAfter: to})
	if err != nil {
		t.Fatal(err)
	}
	team.certificate(leaf)
	team.apply("team.yaml", map[string]any{
		"Replicas": replicas, "Authority": string(authority.PEM()), "Hostname": hostname,
	})
	team.rollout("api")
	team.endpoints(replicas)
	team.expect(90*time.Second, "Programmed", metav1.ConditionTrue, "Programmed")
	address = team.address()
	team.answers(time.Minute, address, 200)
	return team, authority, address
}

func TestATeamIsServedUnderTheShippedRoles(t *testing.T) {
	team, _, address := newTeam(t, 2)
	team.expect(time.Minute, "SecurityDegraded", metav1.ConditionFalse, "Strict")
	if got := team.status(address); got != 200 {
		t.Errorf("a client gets %d", got)
	}
}

// TestTheDemoTellsItsStoryInTheCluster runs what `make demo CLUSTER=local`
// runs.
func TestTheDemoTellsItsStoryInTheCluster(t *testing.T) {
	demo := filepath.Join(t.TempDir(), "demo")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", demo, "../../hack/demo")
	// As make builds it, which has compiled all that it needs.
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, output)
	}
	command := exec.CommandContext(t.Context(), demo, "--bin", here.bin, "--kubeconfig", here.kubeconfig,
		"--kubectl", here.kubectl, "--root", filepath.Join(t.TempDir(), "demo"))
	command.Dir = root
	// An exported KUBECONFIG must not be used.
	command.Env = append(os.Environ(), "KUBECONFIG=/nonexistent")
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("the demo: %v\n%s", err, output)
	}
	var results []string
	for line := range strings.Lines(string(output)) {
		if _, result, found := strings.Cut(line, "=> "); found {
			results = append(results, strings.TrimSpace(result))
		}
	}
	want := []string{
		"client got 503", "client got 200", "client got 503", "refused (exit 1), nothing written",
		"client got 200", "client got 503", "client got 200",
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("the story (-want +got):\n%s\n%s", diff, output)
	}
}
