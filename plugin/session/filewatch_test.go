package session_test

import (
	"context"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/session"
)

// noon is when the tests happen.
var noon = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// patience is how long something may take that happens at once.
const patience = time.Minute

// site copies testdata/site to a directory of the test.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "site"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := fs.ReadFile(os.DirFS("testdata"), name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// count writes the generations that an operator counted, all 1.
func count(t *testing.T, dir string) {
	t.Helper()
	files, err := manifest.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	set, _ := manifest.Parse(files)
	encoded, err := manifest.Generations{}.Next(set).Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := manifest.GenerationsPath(manifest.StateDir(dir))
	write(t, filepath.Dir(path), filepath.Base(path), string(encoded))
}

// sitting is a Session about files.
func sitting(dir string) *session.Session {
	return session.New(session.Config{
		Filename: dir, Program: "kubectl backendtls", Via: session.ViaDirect, ProbeTimeout: time.Second,
		Now: func() time.Time { return noon }, Dial: new(net.Dialer).DialContext,
	})
}

// until takes States until one is as wanted.
func until(t testing.TB, states <-chan session.State, wanted string, is func(session.State) bool) session.State {
	t.Helper()
	deadline := time.After(patience)
	var last session.State
	for {
		select {
		case state, open := <-states:
			if !open {
				t.Fatalf("the channel was closed while waiting for %s", wanted)
			}
			if last = state; is(state) {
				return state
			}
		case <-deadline:
			t.Fatalf("no state with %s; the last one: %+v", wanted, last)
		}
	}
}

func paths(n int) func(session.State) bool {
	return func(state session.State) bool {
		return len(state.Paths) == n && state.Trouble.Kind == session.NoTrouble
	}
}

func trouble(kind session.TroubleKind) func(session.State) bool {
	return func(state session.State) bool { return state.Trouble.Kind == kind }
}

var shop = session.Scope{Namespace: "shop"}

func TestAStateComesAtOnceAndAfterEachChangeOfAFile(t *testing.T) {
	dir := site(t)
	states := sitting(dir).Watch(t.Context(), shop)
	first := until(t, states, "one path", paths(1))
	if first.Source != dir || first.Live || first.Paths[0].Policy != nil || !first.Now.Equal(noon) {
		t.Errorf("got %+v", first)
	}
	if len(first.Namespaces) != 1 || first.Namespaces[0] != "shop" {
		t.Errorf("namespaces are %q", first.Namespaces)
	}

	write(t, dir, "policy.yaml", fixture(t, "policy.yaml"))
	until(t, states, "a policy", func(state session.State) bool {
		return len(state.Paths) == 1 && state.Paths[0].Policy != nil
	})

	if err := os.Remove(filepath.Join(dir, "api.yaml")); err != nil {
		t.Fatal(err)
	}
	until(t, states, "no path", paths(0))
}

func TestABrokenFileIsAProblemAndTheRestStays(t *testing.T) {
	dir := site(t)
	states := sitting(dir).Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))

	write(t, dir, "policy.yaml", "kind: [\n")
	broken := until(t, states, "a problem", func(state session.State) bool { return len(state.Problems) == 1 })
	if !strings.HasSuffix(broken.Problems[0].File, "policy.yaml") || len(broken.Paths) != 1 {
		t.Errorf("got %+v", broken)
	}

	write(t, dir, "policy.yaml", fixture(t, "policy.yaml"))
	until(t, states, "no problem", func(state session.State) bool {
		return len(state.Problems) == 0 && state.Paths[0].Policy != nil
	})
}

func TestAStatusThatTheOperatorWritesIsShown(t *testing.T) {
	dir := site(t)
	write(t, dir, "policy.yaml", fixture(t, "policy.yaml"))
	states := sitting(dir).Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))

	status := filepath.Join(dir, ".backendtls", "status")
	if err := os.MkdirAll(status, 0o700); err != nil {
		t.Fatal(err)
	}
	count(t, dir)
	write(t, status, "BackendTLSPolicy.shop.api.yaml", fixture(t, "status.yaml"))
	until(t, states, "what the operator says", func(state session.State) bool {
		return len(state.Paths) == 1 && len(state.Paths[0].Conditions) > 0 &&
			state.Paths[0].Conditions[0].Source == "Operator"
	})
}

func TestADirectoryThatGoesLeavesTheLastPathsWithTheirAge(t *testing.T) {
	dir := site(t)
	states := sitting(dir).Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))

	aside := dir + ".aside"
	if err := os.Rename(dir, aside); err != nil {
		t.Fatal(err)
	}
	gone := until(t, states, "trouble", trouble(session.Unreachable))
	if len(gone.Paths) != 1 || gone.Trouble.Text == "" || gone.Trouble.Next == "" {
		t.Errorf("got %+v", gone)
	}
	if err := os.Rename(aside, dir); err != nil {
		t.Fatal(err)
	}
	until(t, states, "one path again", paths(1))
}

func TestAnEmptyNamespaceSaysWhatThereIsToDo(t *testing.T) {
	state := until(t, sitting(site(t)).Watch(t.Context(), session.Scope{Namespace: "empty"}), "trouble",
		trouble(session.NoGateways))
	if !strings.Contains(state.Trouble.Text, "namespace empty") || state.Trouble.Next == "" {
		t.Errorf("got %+v", state.Trouble)
	}
	until(t, sitting(site(t)).Watch(t.Context(), session.Scope{All: true}), "one path", paths(1))
}

func TestTheEndOfAModeIsNoticedWithoutAnyChange(t *testing.T) {
	dir := site(t)
	policy := fixture(t, "policy.yaml") + `  options:
    backendtls.dev/mode: InsecureSkipVerification
    backendtls.dev/mode-since: "2026-11-21T11:00:00Z"
    backendtls.dev/mode-until: "2026-11-21T12:00:01Z"
    backendtls.dev/mode-reason: waiting for the new CA
`
	write(t, dir, "policy.yaml", policy)
	var begin atomic.Pointer[time.Time] // Until the mode is seen, it is noon.
	follower := session.New(session.Config{
		Filename: dir, Program: "kubectl backendtls", Via: session.ViaDirect, ProbeTimeout: time.Second,
		Now: func() time.Time {
			if began := begin.Load(); began != nil {
				return noon.Add(time.Since(*began))
			}
			return noon
		},
	})
	states := follower.Watch(t.Context(), shop)
	mode := func(wanted string) func(session.State) bool {
		return func(state session.State) bool {
			return len(state.Paths) == 1 && state.Paths[0].Policy != nil && state.Paths[0].Policy.Mode.State == wanted
		}
	}
	until(t, states, "a mode that waits", mode("Announced"))
	begin.Store(new(time.Now()))
	until(t, states, "a mode that is over", mode("Expired"))
}

func TestTheChannelIsClosedWhenNobodyLooksAnyMore(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	states := sitting(site(t)).Watch(ctx, shop)
	until(t, states, "one path", paths(1))
	leave()
	deadline := time.After(patience)
	for {
		select {
		case _, open := <-states:
			if !open {
				return
			}
		case <-deadline:
			t.Fatal("it stays open")
		}
	}
}

func TestOnlyTheNewestStateIsKept(t *testing.T) {
	dir := site(t)
	states, witness := sitting(dir).Watch(t.Context(), shop), sitting(dir).Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))
	until(t, witness, "one path", paths(1))
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// Another one sees every change; of these states nobody takes any meanwhile.
	for range 3 {
		write(t, dir, "policy.yaml", "kind: [\n")
		until(t, witness, "a problem", func(s session.State) bool { return len(s.Problems) > 0 })
		remove("policy.yaml")
		until(t, witness, "no problem", func(s session.State) bool { return len(s.Problems) == 0 })
	}
	remove("api.yaml")
	until(t, witness, "no path", func(s session.State) bool { return len(s.Paths) == 0 })
	taken := 0
	until(t, states, "the newest state", func(s session.State) bool {
		taken++
		return len(s.Paths) == 0 && len(s.Problems) == 0
	})
	// The newest, and one before it if this one is a little behind the other.
	if taken > 2 {
		t.Errorf("%d states were kept", taken)
	}
}

func TestADirectoryWhoseLastFileGoesIsEmpty(t *testing.T) {
	dir := site(t)
	states := sitting(dir).Watch(t.Context(), shop)
	until(t, states, "one path", paths(1))
	for _, name := range []string{"api.yaml", "gateway.yaml"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	state := until(t, states, "trouble", trouble(session.NoGateways))
	if len(state.Paths) != 0 {
		t.Errorf("got %+v", state)
	}
}
