package e2e

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/operator"
	"github.com/backendtls/backendtls/test/leak"
)

// asOperator makes the test binary a standalone operator: a process of its
// own, which can be stopped and killed.
const asOperator = "BACKENDTLS_E2E_OPERATOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(asOperator); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		err := operator.Standalone{
			Dir: dir, Envoy: os.Getenv("ENVOY"), Runtime: os.Getenv("XDG_RUNTIME_DIR"), AccessLog: os.Stdout,
			Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)),
		}.Run(ctx)
		if err != nil {
			os.Exit(1)
		}
		return
	}
	// apimachinery's watch.Filter, which controller-runtime puts around watches
	// of metadata, forgets a goroutine where a watch is stopped with an event in
	// hand.
	leak.Main(m)
}

// spawn runs the operator as a process of its own until the test ends.
func (w *world) spawn() *os.Process {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), asOperator+"="+w.dir, "ENVOY="+envoyPath(w.t), "XDG_RUNTIME_DIR="+w.runtime)
	cmd.Stdout, cmd.Stderr = w.access, w.log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if w.t.Failed() {
			w.t.Logf("operator's log:\n%s", tail(w.log.String(), 40))
		}
	})
	return cmd.Process
}

// lasting is how long a mode of these tests is in force.
const lasting = 8 * time.Second

// skipUntil writes a policy that skips verification, and returns its end.
func (f *fixtures) skipUntil(w *world) time.Time {
	now := time.Now()
	until := now.Add(lasting).Truncate(time.Second)
	w.write("policy.yaml", policy("api", f.trusted, options(
		"mode", "InsecureSkipVerification", "mode-reason", "test",
		"mode-since", now.Add(-time.Second).UTC().Format(time.RFC3339),
		"mode-until", until.UTC().Format(time.RFC3339))))
	return until
}

// worldWithMode has a backend that only a mode admits.
func worldWithMode(t *testing.T) (*fixtures, *world) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(allowAll)
	w.write("bundles.yaml", f.bundles)
	w.write("service.yaml", service("api", "api.test", serve(t, f.self), "https"))
	w.write("policy.yaml", policy("api", f.trusted, nil))
	return f, w
}

// open waits until the mode lets requests through.
func (w *world) open() {
	w.t.Helper()
	w.eventually("200 under the mode", func() bool { return w.get("api.test") == http.StatusOK })
}

func TestAModeEndsByItself(t *testing.T) {
	f, w := worldWithMode(t)
	w.start()
	w.eventually("503 at first", func() bool { return w.get("api.test") == http.StatusServiceUnavailable })
	until := f.skipUntil(w)
	w.open()
	tr := w.traffic("api.test")
	tr.both(w, time.Time{}, http.StatusOK)
	end := until.Add(time.Second)
	tr.both(w, end, http.StatusServiceUnavailable)
	tr.none(t, end, http.StatusOK, "one second after mode-until")
	if len(withStatus(tr.since(time.Time{}), until.Add(-time.Second), http.StatusOK)) == 0 {
		t.Error("the mode ended more than a second early")
	}
	w.eventually("SecurityDegraded False/ModeExpired", func() bool {
		condition := w.policyCondition("api", "SecurityDegraded")
		return condition.Status == "False" && condition.Reason == "ModeExpired"
	})
}

// withStatus are the answers with a status to requests sent after t.
func withStatus(all []answer, after time.Time, status int) []answer {
	var list []answer
	for _, a := range all {
		if a.status == status && a.sent.After(after) {
			list = append(list, a)
		}
	}
	return list
}

func TestAModeEndsAlthoughTheOperatorIsFrozen(t *testing.T) {
	f, w := worldWithMode(t)
	process := w.spawn()
	w.eventually("503 at first", func() bool { return w.get("api.test") == http.StatusServiceUnavailable })
	until := f.skipUntil(w)
	w.open()
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tr := w.traffic("api.test")
	tr.both(w, time.Time{}, http.StatusOK)
	end := until.Add(6 * time.Second)
	tr.both(w, end, http.StatusInternalServerError)
	tr.none(t, end, http.StatusOK, "six seconds after mode-until")
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// What was frozen picks up where time is, and strict verification returns.
	tr.both(w, time.Now().Add(time.Second), http.StatusServiceUnavailable)
}

func TestAModeEndsAlthoughTheControlPlaneIsGone(t *testing.T) {
	f, w := worldWithMode(t)
	a := w.assemble(same)
	w.eventually("503 at first", func() bool { return w.get("api.test") == http.StatusServiceUnavailable })
	until := f.skipUntil(w)
	w.open()
	tr := w.traffic("api.test")
	tr.both(w, time.Time{}, http.StatusOK)
	a.end()
	end := until.Add(6 * time.Second)
	tr.both(w, end, http.StatusInternalServerError)
	tr.none(t, end, http.StatusOK, "six seconds after mode-until")
}
