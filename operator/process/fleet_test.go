package process_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/process"
)

func itoa(i int) string { return strconv.Itoa(i) }

func pidOf(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimPrefix(name, "envoy-"))
	if err != nil || !strings.HasPrefix(name, "envoy-") {
		t.Fatalf("name %q: want envoy-PID", name)
	}
	return pid
}

func TestEachGatewayHasAnEnvoyWhileItIsWanted(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web, api))
	_, webPID := h.envoy(web)
	apiName, apiPID := h.envoy(api)

	h.Put(gateways(api))
	eventually(t, "the Envoy of the Gateway that went is gone", func() bool { return len(h.Envoys()[web]) == 0 })
	if _, _, found := h.Lookup(webPID); found || !gone(webPID) {
		t.Errorf("Lookup still knows %d: %v; it is gone: %v", webPID, found, gone(webPID))
	}
	if names := h.Envoys()[api]; !slices.Equal(names, []string{apiName}) {
		t.Errorf("Envoys of the other Gateway = %v, want %s untouched", names, apiName)
	}

	h.end()
	if envoys := h.Envoys(); len(envoys) != 0 || !gone(apiPID) {
		t.Errorf("after Run: Envoys = %v, want none", envoys)
	}
}

func TestAnUnresolvedGatewayKeepsItsEnvoyAndGetsNone(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	name, _ := h.envoy(web)
	other := gwapi.KeyOf(gwapi.KindGateway, "default", "other")
	h.Put(map[gwapi.Key]model.Gateway{web: {Key: web, Unresolved: true}, other: {Key: other, Unresolved: true}})
	// Third is started after the two were looked at.
	third := gwapi.KeyOf(gwapi.KindGateway, "default", "third")
	h.Put(map[gwapi.Key]model.Gateway{
		web: {Key: web, Unresolved: true}, other: {Key: other, Unresolved: true}, third: {Key: third},
	})
	h.envoy(third)
	if got := h.Envoys(); !slices.Equal(got[web], []string{name}) || len(got[other]) > 0 {
		t.Errorf("Envoys are %v, want %s for %s and none for %s", got, name, web, other)
	}
}

func TestChangesTellOfStartAndEnd(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	awaitChange(t, h.Changes())
	_, pid := h.envoy(web)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitChange(t, h.Changes())
}

func awaitChange(t *testing.T, changes <-chan struct{}) {
	t.Helper()
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("no change was told")
	}
}

func TestAStrangerIsNobodysEnvoy(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	h.envoy(web)
	for _, pid := range []int{0, 1, -1, os.Getpid()} {
		if key, name, found := h.Lookup(pid); found {
			t.Errorf("Lookup(%d) = %v, %q, want nothing", pid, key, name)
		}
	}
}

func TestAKilledEnvoyIsStartedAgainUnderANewName(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	name, pid := h.envoy(web)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.envoy(web, name)
	if h.log.count("ERROR", "envoy ended: signal: killed") != 1 {
		t.Error("the log does not say how Envoy ended")
	}
}

func TestAnEnvoyThatEndsAtOnceIsStartedMoreAndMoreSlowly(t *testing.T) {
	starts := filepath.Join(t.TempDir(), "starts")
	h := run(t, fake(t, "crash", "STARTS="+starts))
	h.Put(gateways(web))
	eventually(t, "five starts", func() bool { return len(readLines(starts)) >= 5 })
	h.end()
	var times []time.Time
	for _, line := range readLines(starts) {
		at, err := time.Parse(time.RFC3339Nano, line)
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	for i, least := 1, 20*time.Millisecond; i < len(times); i, least = i+1, 2*least {
		if pause := times[i].Sub(times[i-1]); pause < least {
			t.Errorf("pause %d is %s, want at least %s", i, pause, least)
		}
	}
	if n := h.log.count("ERROR", "envoy is not running", "exit status 3"); n != 1 {
		t.Errorf("%d errors in the log, want one for a fault that repeats", n)
	}
	if h.log.count("WARN", "libfake.so") == 0 {
		t.Error("the log lacks Envoy's own words")
	}
}

func TestABinaryThatCannotBeStartedIsOneError(t *testing.T) {
	config := fake(t, "")
	config.Envoy = filepath.Join(t.TempDir(), "envoy")
	config.Backoff = time.Millisecond
	h := run(t, config)
	h.Put(gateways(web))
	eventually(t, "two attempts", func() bool { return h.log.count("envoy is not running") >= 2 })
	if n := h.log.count("ERROR", config.Envoy, "no such file"); n != 1 {
		t.Errorf("%d errors that name the binary, want 1", n)
	}
	if len(h.Envoys()) != 0 {
		t.Errorf("Envoys = %v, want none", h.Envoys())
	}
}

func TestAnEnvoyThatIgnoresSIGTERMIsKilled(t *testing.T) {
	h := run(t, fake(t, "stubborn"))
	h.Put(gateways(web))
	_, pid := h.envoy(web)
	awaitAdmin(h, web)
	h.end()
	if !gone(pid) {
		t.Error("it lives on")
	}
}

func TestAFrozenEnvoyIsKilled(t *testing.T) {
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	_, pid := h.envoy(web)
	awaitAdmin(h, web)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.end()
	if !gone(pid) {
		t.Error("it lives on")
	}
}

// awaitAdmin waits until the fake is up: its admin socket comes last.
func awaitAdmin(h *harness, gateway gwapi.Key) {
	h.t.Helper()
	eventually(h.t, "admin socket", func() bool {
		_, err := os.Stat(filepath.Join(h.sockets.dir(h.t, gateway), "admin.sock"))
		return err == nil
	})
}

func TestAnEnvoyIsStoppedWhenItsRequestsAreDone(t *testing.T) {
	asked := filepath.Join(t.TempDir(), "asked")
	h := run(t, fake(t, "serve", "ADMIN="+asked))
	h.Put(gateways(web))
	_, pid := h.envoy(web)
	awaitAdmin(h, web)
	busy := filepath.Join(h.sockets.dir(t, web), "busy")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	h.Put(gateways())
	eventually(t, "the drain has begun", func() bool {
		return slices.Equal(readLines(asked), []string{"/drain_listeners"})
	})
	// A second is long for a fleet that does not wait.
	steadily(t, time.Second, "it runs on with a request in flight", func() bool { return len(h.Envoys()[web]) == 1 })
	if err := os.Remove(busy); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it stops", func() bool { return gone(pid) && len(h.Envoys()[web]) == 0 })
	if h.log.count("in flight") != 0 {
		t.Error("the log complains of requests in flight")
	}
}

func TestADrainEndsAfterItsGrace(t *testing.T) {
	config := fake(t, "serve")
	config.Drain = drains(time.Second)
	h := run(t, config)
	h.Put(gateways(web))
	h.envoy(web)
	awaitAdmin(h, web)
	if err := os.WriteFile(filepath.Join(h.sockets.dir(t, web), "busy"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.end()
	// How many there were is not known where a busy machine had no time to ask.
	if h.log.count("WARN", "envoy is stopped with requests in flight") != 1 {
		t.Error("the log does not say that a request was cut off")
	}
}

func TestAGatewayThatComesBackWaitsForItsOldEnvoy(t *testing.T) {
	dir := t.TempDir()
	starts, asked := filepath.Join(dir, "starts"), filepath.Join(dir, "asked")
	h := run(t, fake(t, "serve", "STARTS="+starts, "ADMIN="+asked))
	h.Put(gateways(web))
	name, pid := h.envoy(web)
	awaitAdmin(h, web)
	busy := filepath.Join(h.sockets.dir(t, web), "busy")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h.Put(gateways())
	eventually(t, "the drain has begun", func() bool { return len(readLines(asked)) == 1 })
	h.Put(gateways(web))
	steadily(t, 300*time.Millisecond, "the old one is the only one", func() bool {
		return slices.Equal(h.Envoys()[web], []string{name}) && len(readLines(starts)) == 1
	})
	if err := os.Remove(busy); err != nil {
		t.Fatal(err)
	}
	h.envoy(web, name)
	if !gone(pid) {
		t.Error("both run")
	}
}

func TestASocketThatIsNoLongerServedIsOpenedAnew(t *testing.T) {
	s := newSockets()
	refuse := make(chan struct{})
	var calls atomic.Int32
	config := fake(t, "serve")
	// An Envoy may be known before its socket is served: the first call is the one
	// that fails, however late it comes.
	config.Serve = func(gateway gwapi.Key, listener net.Listener) error {
		if calls.Add(1) > 1 {
			return s.serve(gateway, listener)
		}
		<-refuse
		return errors.New("no more")
	}
	h := run(t, config)
	h.Put(gateways(web))
	name, _ := h.envoy(web)
	close(refuse)
	h.envoy(web, name)
	if h.log.count("ERROR", "xDS socket is no longer served: no more") != 1 {
		t.Error("the log does not say why Envoy was started again")
	}
}

func TestEnvoysWordsArePassedOn(t *testing.T) {
	config := fake(t, "talk")
	config.Backoff = time.Hour
	h := run(t, config)
	h.Put(gateways(web))
	eventually(t, "it has spoken", func() bool { return h.log.count("envoy is not running") == 1 })
	lines := strings.Split(h.access.String(), "\n")
	if len(lines) != 4 || lines[0] != `{"code":200}` || lines[2] != `{"code":503}` {
		t.Errorf("access log has %d lines, want the two of JSON around the overlong one", len(lines)-1)
	}
	if len(lines[1]) != 1<<20 {
		t.Errorf("the overlong line has %d bytes, want it cut at %d", len(lines[1]), 1<<20)
	}
	for _, want := range [][]string{
		{`"level":"ERROR"`, `"logger":"main"`, `"text":"too \"bad\""`, `"gateway":"gateway/default/web"`, `"envoy":"envoy-`},
		{`"level":"INFO"`, `"logger":"upstream"`, `"text":"fine"`},
		{`"level":"WARN"`, `"text":"assert failure: not JSON"`},
		{`"level":"WARN"`, `"text":"no line break"`},
	} {
		if h.log.count(want...) != 1 {
			t.Errorf("log lacks a line with %v", want)
		}
	}
}

func TestNobodyElseReachesTheSockets(t *testing.T) {
	config := fake(t, "serve")
	config.Runtime = shortDir(t)
	h := run(t, config)
	h.Put(gateways(web))
	h.envoy(web)
	awaitAdmin(h, web)
	dir := h.sockets.dir(t, web)
	for path, want := range map[string]os.FileMode{
		dir:                                  os.ModeDir | 0o700,
		filepath.Dir(dir):                    os.ModeDir | 0o700,
		filepath.Join(dir, "xds.sock"):       os.ModeSocket | 0o600,
		filepath.Join(dir, "bootstrap.json"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Mode() != want {
			t.Errorf("%s is %s, want %s", path, info.Mode(), want)
		}
	}
	h.end()
	if left, err := os.ReadDir(config.Runtime); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestAnEnvoyHasAProcessGroupAndAnEnvironmentOfItsOwn(t *testing.T) {
	t.Setenv("SECRET", "of the operator")
	h := run(t, fake(t, "serve"))
	h.Put(gateways(web))
	_, pid := h.envoy(web)
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("process group %d (%v), want %d: Ctrl-C is for the operator", group, err, pid)
	}
	awaitAdmin(h, web)
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimRight(string(environ), "\x00") != "FAKE=serve" {
		t.Errorf("environment %q, want what Config.Env says", environ)
	}
}

func TestRunSaysWhichDirectoryItNeeds(t *testing.T) {
	open := shortDir(t)
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	long := filepath.Join(shortDir(t), strings.Repeat("x", 90))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ dir, want string }{
		"one that is not there":     {filepath.Join(open, "absent"), "no such file or directory"},
		"a file":                    {"/dev/null", "not a directory"},
		"one that all may write to": {open, "others may write to it and it has no sticky bit"},
		"one with a long path":      {long, "at most 107 are possible"},
	} {
		t.Run(name, func(t *testing.T) {
			config := fake(t, "serve")
			config.Runtime = test.dir
			err := process.New(config).Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), test.dir) {
				t.Errorf("Run: %v, want an error that names %s and says %q", err, test.dir, test.want)
			}
		})
	}
}

func TestTheTempDirectoryServesWhereTheRuntimeDirectoryDoesNot(t *testing.T) {
	temp := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(temp, "absent"))
	t.Setenv("TMPDIR", temp)
	h := runWhereItMay(t, fake(t, "serve"))
	h.Put(gateways(web))
	h.envoy(web)
	if dir := h.sockets.dir(t, web); !strings.HasPrefix(dir, temp) {
		t.Errorf("sockets are in %s, want them below %s", dir, temp)
	}
}
