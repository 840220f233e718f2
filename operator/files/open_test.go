package files_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain's second life: a process that holds a directory until it is killed.
func TestHoldDirectory(t *testing.T) {
	dir := os.Getenv("FILES_TEST_HOLD")
	if dir == "" {
		return
	}
	b, err := open(t, dir, os.Getenv("FILES_TEST_STATE"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	fmt.Println("held")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
}

// hold starts another process that holds the directory, and returns its pid
// and what kills it.
func hold(t *testing.T, dir, state string) (pid int, kill func()) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHoldDirectory$", "-test.v")
	command.Env = append(os.Environ(), "FILES_TEST_HOLD="+dir, "FILES_TEST_STATE="+state)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	held := false
	for !held && lines.Scan() {
		held = lines.Text() == "held"
	}
	if !held {
		t.Fatal("the other process holds nothing")
	}
	kill = func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		_ = stdin.Close()
	}
	t.Cleanup(kill)
	return command.Process.Pid, kill
}

func TestASecondOperatorIsRefusedUntilTheFirstIsGone(t *testing.T) {
	for name, states := range map[string][2]string{
		"with the same state":  {"", ""},
		"with other states":    {"", t.TempDir()},
		"with a state outside": {t.TempDir(), t.TempDir()},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			pid, kill := hold(t, dir, states[0])
			_, err := open(t, dir, states[1])
			want := fmt.Sprintf("--dir %s: another operator (pid %d) is at work on it; stop that one first", dir, pid)
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want %s", err, want)
			}
			kill()
			b, err := open(t, dir, states[1])
			if err != nil {
				t.Fatalf("the lock of a dead operator remains: %v", err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAStateIsNotSharedByTwoDirectories(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	pid, _ := hold(t, t.TempDir(), state)
	_, err := open(t, t.TempDir(), state)
	if want := fmt.Sprintf("another operator (pid %d)", pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("got %v, want %s", err, want)
	}
}

func TestTheDirectoryIsFreeAfterRun(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir)
	b.signalled()
	b.stop()
	again, err := open(t, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsOfOpenAreOneLineWithTheNextStep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file.yaml")
	write(t, file, "")
	for name, row := range map[string]struct{ dir, state, want string }{
		"no directory named": {"", "", "--dir: names no directory; name the one that holds the manifests"},
		"a missing directory": {
			filepath.Join(dir, "none"), "",
			": no such file or directory; create it, or name the directory that holds the manifests",
		},
		"a file": {file, "", "file.yaml: is a file; name the directory it is in"},
		"a state that cannot be made": {
			dir, filepath.Join(file, "state"),
			": not a directory; name a directory that can be written with --state PATH",
		},
		"a state in the kernel's hands": {
			dir, "/proc/self/state", "name a directory that can be written with --state PATH",
		},
		"a state among the manifests": {
			dir, filepath.Join(dir, "state"),
			"lies among the manifests in " + dir + "; name a directory elsewhere, or one whose name begins with a dot",
		},
		"a state that is the directory": {dir, dir, "lies among the manifests"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, row.dir, row.state)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want %s", err, row.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("something was written: %v", entries)
			}
		})
	}
}

func TestTheStateIsPrivateAndOutOfReachOfGit(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, ".backendtls")
	if err := os.Mkdir(state, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(state, "status", ".writing-1"), "left by a killed operator")
	b := start(t, dir)
	b.signalled()
	for _, path := range []string{state, filepath.Join(state, "status")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v, want 0700", path, info.Mode().Perm(), err)
		}
	}
	if ignore, err := os.ReadFile(filepath.Join(state, ".gitignore")); err != nil || string(ignore) != "*\n" {
		t.Errorf(".gitignore is %q, %v", ignore, err)
	}
	if _, err := os.Stat(filepath.Join(state, "status", ".writing-1")); !os.IsNotExist(err) {
		t.Error("what a killed operator left is still there")
	}
	if n := b.Snapshot().ConfigMaps.Len(); n != 1 {
		t.Errorf("the state was read as manifests: %d ConfigMaps", n)
	}
}

// A repository can hold symbolic links of any name.
func TestALinkAmongTheManifestsIsNotFollowedToWrite(t *testing.T) {
	for name, link := range map[string]string{
		"the state":    ".backendtls",
		"the statuses": ".backendtls/status",
		"the lock":     ".backendtls/lock",
	} {
		t.Run(name, func(t *testing.T) {
			dir, elsewhere := t.TempDir(), t.TempDir()
			target := elsewhere
			if name == "the lock" {
				target = filepath.Join(elsewhere, "precious")
			}
			for _, file := range []string{"precious", ".writing-precious"} {
				if err := os.WriteFile(filepath.Join(elsewhere, file), []byte("precious"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, link)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			b, err := open(t, dir, "")
			if err == nil {
				_ = b.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), path) && !strings.Contains(err.Error(), filepath.Dir(path)) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("not one line that names %s: %v", path, err)
			}
			entries, err := os.ReadDir(elsewhere)
			if err != nil || len(entries) != 2 {
				t.Errorf("there are %v now, %v", entries, err)
			}
			if content, _ := os.ReadFile(filepath.Join(elsewhere, "precious")); string(content) != "precious" {
				t.Errorf("the target holds %q", content)
			}
		})
	}
}
