package files_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/files"
)

// says is a report on policy api for Gateway web.
func says(status metav1.ConditionStatus, reason, message string) report.Set {
	return report.Set{key(gwapi.KindBackendTLSPolicy, "api"): {
		Generation: 1,
		Ancestors: []gatewayv1.PolicyAncestorStatus{{
			AncestorRef:    gatewayv1.ParentReference{Name: "web"},
			ControllerName: gwapi.ControllerName,
			Conditions: []metav1.Condition{
				{Type: report.PolicySecurityDegraded, Status: status, Reason: reason, Message: message, ObservedGeneration: 1},
			},
		}},
	}}
}

// degraded reads SecurityDegraded of policy api from a Snapshot.
func degraded(s *snapshot.Snapshot) *metav1.Condition {
	policy, found := s.TLSPolicies.Get(key(gwapi.KindBackendTLSPolicy, "api").NamespacedName())
	if !found || len(policy.Status.Ancestors) == 0 || len(policy.Status.Ancestors[0].Conditions) == 0 {
		return nil
	}
	return &policy.Status.Ancestors[0].Conditions[0]
}

func showsReason(reason string) func(*snapshot.Snapshot) bool {
	return func(s *snapshot.Snapshot) bool { c := degraded(s); return c != nil && c.Reason == reason }
}

func statusPath(dir string) string {
	return filepath.Join(dir, ".backendtls", "status", "BackendTLSPolicy.default.api.yaml")
}

func TestAStatusIsWrittenAndThenShown(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	b.Put(says("True", "VerificationSkipped", "until noon"))
	b.signalled()
	shown := degraded(b.Snapshot())
	if shown == nil || shown.Status != "True" || shown.Reason != "VerificationSkipped" {
		t.Fatalf("the signal came with %+v", shown)
	}
	text, err := os.ReadFile(statusPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"apiVersion: gateway.networking.k8s.io/v1\n", "kind: BackendTLSPolicy\n", "name: api\n",
		"namespace: default\n", "generation: 1\n", "status:\n", "reason: VerificationSkipped\n", "message: until noon\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
	if info, err := os.Stat(statusPath(dir)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// The same again changes nothing, so that writing and building come to rest.
	before, _ := os.Stat(statusPath(dir))
	for range 3 {
		b.Put(says("True", "VerificationSkipped", "until noon"))
		b.barrier()
	}
	after, _ := os.Stat(statusPath(dir))
	if !os.SameFile(before, after) {
		t.Error("an equal status was written again")
	}
	since := shown.LastTransitionTime
	b.Put(says("True", "VerificationSkipped", "until one"))
	b.see("the new message", func(s *snapshot.Snapshot) bool { return degraded(s).Message == "until one" })
	b.quiet() // It decides nothing.
	if now := degraded(b.Snapshot()).LastTransitionTime; !now.Equal(&since) {
		t.Errorf("the time of the transition moved from %v to %v", since, now)
	}
	b.Put(says("False", "Strict", ""))
	b.signalled()
	if !showsReason("Strict")(b.Snapshot()) {
		t.Error("the signal came without the status")
	}
}

func TestAStatusGoesWithItsObject(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	b.Put(says("True", "VerificationSkipped", ""))
	b.signalled()
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	b.eventually("the file is gone", func() bool { _, err := os.Stat(statusPath(dir)); return os.IsNotExist(err) })
	// A report that was made before the object went brings nothing back.
	b.Put(says("True", "VerificationSkipped", ""))
	b.barrier()
	if _, err := os.Stat(statusPath(dir)); !os.IsNotExist(err) {
		t.Error("a status without an object")
	}
}

func TestAPolicyThatIsNoLongerReportedOnLosesOurEntry(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	b.Put(says("True", "VerificationSkipped", ""))
	b.signalled()
	b.Put(report.Set{})
	b.signalled()
	if degraded(b.Snapshot()) != nil {
		t.Error("the Snapshot still shows it")
	}
	if _, err := os.Stat(statusPath(dir)); !os.IsNotExist(err) {
		t.Error("the file is still there")
	}
}

func TestAStatusSurvivesARestartAndAManifestsOwnIsIgnored(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example")+`status:
  ancestors:
  - ancestorRef: {name: web}
    controllerName: `+gwapi.ControllerName+`
    conditions:
    - type: SecurityDegraded
      status: "True"
      reason: VerificationSkipped
      message: ""
      lastTransitionTime: 2026-01-01T00:00:00Z
`)
	b := start(t, dir)
	b.signalled()
	if len(b.Snapshot().Faults) != 0 {
		t.Fatal(b.Snapshot().Faults)
	}
	if degraded(b.Snapshot()) != nil {
		t.Fatal("the manifest's status is shown: it would open the mode gate")
	}
	b.Put(says("True", "SANVerificationSkipped", ""))
	b.signalled()
	b.stop()
	b = start(t, dir)
	b.signalled()
	if !showsReason("SANVerificationSkipped")(b.Snapshot()) {
		t.Fatal("the first Snapshot after a restart lacks the status")
	}
}

func TestAStatusThatCannotBeWrittenIsNotShown(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir, files.Hasten)
	b.signalled()
	write(t, filepath.Join(statusPath(dir), "in", "the way"), "")
	b.Put(says("True", "VerificationSkipped", ""))
	b.eventually("it is said", func() bool { return len(b.logs.with("the statuses cannot be written")) > 0 })
	b.barrier()
	if degraded(b.Snapshot()) != nil {
		t.Fatal("a status is shown that stands nowhere")
	}
	b.drain()
	if n := len(b.logs.with("the statuses cannot be written")); n != 1 {
		t.Errorf("said %d times", n)
	}
	if err := os.RemoveAll(statusPath(dir)); err != nil {
		t.Fatal(err)
	}
	b.signalled()
	if !showsReason("VerificationSkipped")(b.Snapshot()) {
		t.Fatal("not shown after it was written")
	}
	b.eventually("the end is said", func() bool { return len(b.logs.with("the statuses are written again")) == 1 })
}

func TestAStatusThatSomebodyRemovedIsNoLongerShown(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir, files.Hasten)
	b.signalled()
	b.Put(says("True", "VerificationSkipped", ""))
	b.signalled()
	if err := os.RemoveAll(filepath.Join(dir, ".backendtls", "status")); err != nil {
		t.Fatal(err)
	}
	b.signalled() // Without it the mode must end, and with the next it may begin.
	b.eventually("it was noticed", func() bool { return len(b.logs.with("status files were changed by somebody")) > 0 })
	b.see("it is written anew", func(s *snapshot.Snapshot) bool {
		_, err := os.Stat(statusPath(dir))
		return err == nil && showsReason("VerificationSkipped")(s)
	})
}

func TestTheStatusOfAnObjectThatWentMeanwhileIsSweptAtTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	b.Put(says("True", "VerificationSkipped", ""))
	b.signalled()
	b.stop()
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(filepath.Dir(statusPath(dir)), "Gateway.default.web.yaml")
	write(t, broken, "kind: [")
	b = start(t, dir)
	b.signalled()
	b.eventually("the file is gone", func() bool { _, err := os.Stat(statusPath(dir)); return os.IsNotExist(err) })
	if n := len(b.logs.with("a status file is not used")); n != 1 {
		t.Errorf("the broken status was mentioned %d times", n)
	}
}

func TestChangesOfSecurityAreEvents(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	for _, step := range []struct {
		status          metav1.ConditionStatus
		reason, message string
		events          int
	}{
		{"False", "Strict", "", 0},
		{"True", "VerificationSkipped", "until noon", 1},
		{"True", "VerificationSkipped", "until one", 1},
		{"True", "SANVerificationSkipped", "until one", 2},
		{"False", "ModeExpired", "", 3},
	} {
		b.Put(says(step.status, step.reason, step.message))
		b.see(step.reason, func(s *snapshot.Snapshot) bool {
			c := degraded(s)
			return c != nil && c.Reason == step.reason && c.Message == step.message
		})
		events := b.logs.with("event")
		if len(events) != step.events {
			t.Fatalf("after %v: %d events, want %d", step, len(events), step.events)
		}
		if step.events == 0 {
			continue
		}
		if step.events == 2 || step.events == 3 || step.message == "until noon" {
			want := map[metav1.ConditionStatus]string{"True": "Warning", "False": "Normal"}[step.status]
			last := events[len(events)-1]
			if last["event"] != "SecurityDegraded" || last["type"] != want || last["reason"] != step.reason ||
				last["object"] != "backendtlspolicy/default/api" || last["gateway"] != "gateway/default/web" ||
				last["message"] != step.message {
				t.Errorf("event %v", last)
			}
		}
	}
}

func TestGenerationsCountChangesOfTheSpecificationAcrossRestarts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	generation := func(b *bench) int64 {
		policy, _ := b.Snapshot().TLSPolicies.Get(key(gwapi.KindBackendTLSPolicy, "api").NamespacedName())
		return policy.Generation
	}
	write(t, path, policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	if got := generation(b); got != 1 {
		t.Fatalf("generation %d at first, want 1", got)
	}
	write(t, path, strings.Replace(policy("api", "api", "a.example"), "{name: api}", "{name: api, labels: {a: b}}", 1))
	b.signalled()
	if got := generation(b); got != 1 {
		t.Errorf("generation %d after a change of labels, want 1", got)
	}
	write(t, path, policy("api", "api", "b.example"))
	b.signalled()
	if got := generation(b); got != 2 {
		t.Errorf("generation %d after a change, want 2", got)
	}
	b.stop()

	b = start(t, dir)
	b.signalled()
	if got := generation(b); got != 2 {
		t.Errorf("generation %d after a restart, want 2", got)
	}
	b.stop()

	write(t, path, policy("api", "api", "c.example"))
	b = start(t, dir)
	b.signalled()
	if got := generation(b); got != 3 {
		t.Errorf("generation %d after a change while it was down, want 3", got)
	}
	b.stop()

	// A lost count goes on from what statuses were written for.
	write(t, filepath.Join(dir, ".backendtls", "generations.json"), "{")
	b = start(t, dir)
	b.signalled()
	b.Put(report.Set{key(gwapi.KindBackendTLSPolicy, "api"): func() report.Report {
		r := says("False", "Strict", "")[key(gwapi.KindBackendTLSPolicy, "api")]
		r.Generation = 7
		r.Ancestors[0].Conditions[0].ObservedGeneration = 7
		return r
	}()})
	b.see("the status", showsReason("Strict"))
	b.stop()
	if err := os.Remove(filepath.Join(dir, ".backendtls", "generations.json")); err != nil {
		t.Fatal(err)
	}
	b = start(t, dir)
	b.signalled()
	if got := generation(b); got < 7 {
		t.Errorf("generation %d, want none below that of the status", got)
	}
}

func TestALoopThatAlwaysPutsWhatItSeesComesToRest(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	builds := 0
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for rest := false; !rest; {
		select {
		case <-b.Changes():
			if builds++; builds > 5 {
				t.Fatal("builds and statuses chase each other")
			}
			b.Put(says("True", "VerificationSkipped", fmt.Sprint("at ", time.Now().Truncate(time.Hour))))
		case <-time.After(10 * files.Settle()):
			rest = builds >= 2 // The status has come back.
		case <-ctx.Done():
			t.Fatalf("never at rest, after %d builds", builds)
		}
	}
}

func TestManyStatusesAreAllWrittenAndShown(t *testing.T) {
	const many = 1000
	dir := t.TempDir()
	var content strings.Builder
	desired := report.Set{}
	for i := range many {
		name := fmt.Sprintf("p%d", i)
		content.WriteString(policy(name, name, "a.example"))
		desired[key(gwapi.KindBackendTLSPolicy, name)] = says("True", "VerificationSkipped", "")[key(
			gwapi.KindBackendTLSPolicy, "api")]
	}
	write(t, filepath.Join(dir, "a.yaml"), content.String())
	b := start(t, dir)
	b.signalled()
	b.Put(desired)
	b.see("every status", func(s *snapshot.Snapshot) bool {
		shown := 0
		for _, policy := range s.TLSPolicies.Sorted() {
			shown += len(policy.Status.Ancestors)
		}
		return shown == many
	})
	entries, err := os.ReadDir(filepath.Dir(statusPath(dir)))
	if err != nil || len(entries) != many {
		t.Errorf("%d files, %v", len(entries), err)
	}
}
