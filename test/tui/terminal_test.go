package tui

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a screen may take; everything is waited for, nothing is
// slept over.
const patience = time.Minute

// terminal is a tmux of its own with two windows: one for the screens, one for
// a second person.
type terminal struct {
	t             *testing.T
	socket        string
	width, height int
}

// The windows.
const (
	screens = "story:0"
	second  = "story:1"
)

// open starts tmux with shells in a directory, with these variables.
func open(t *testing.T, width, height int, directory, environment string) *terminal {
	t.Helper()
	// A socket has a short path, and that of the test's own directory is not.
	folder, err := os.MkdirTemp("", "tui") //nolint:usetesting // For that reason.
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, socket: filepath.Join(folder, "tmux"), width: width, height: height}
	t.Cleanup(func() {
		_ = term.command("kill-server").Run()
		_ = os.RemoveAll(folder)
	})
	config := filepath.Join(folder, "conf")
	settings := "set -g status off\nset -g default-terminal screen-256color\nset -g escape-time 0\n" +
		"set -g default-command 'exec env PS1=\"$ \" " + environment + " sh'\n"
	if err := os.WriteFile(config, []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	term.run("-f", config, "new-session", "-d", "-s", "story", "-c", directory,
		"-x", strconv.Itoa(width), "-y", strconv.Itoa(height))
	term.run("new-window", "-d", "-t", second, "-c", directory)
	term.until(screens, "$ ")
	term.until(second, "$ ")
	return term
}

func (term *terminal) command(arguments ...string) *exec.Cmd {
	cmd := exec.Command("tmux", append([]string{"-S", term.socket}, arguments...)...)
	cmd.Env = append(os.Environ(), "TERM=screen-256color", "LC_ALL=C.UTF-8")
	return cmd
}

func (term *terminal) run(arguments ...string) string {
	term.t.Helper()
	output, err := term.command(arguments...).CombinedOutput()
	if err != nil {
		term.t.Fatalf("tmux %q: %v\n%s", arguments, err, output)
	}
	return string(output)
}

// press presses keys by tmux's names: Enter, Escape, Tab, PageDown, p.
func (term *terminal) press(keys ...string) {
	term.t.Helper()
	term.run(append([]string{"send-keys", "-t", screens}, keys...)...)
}

// write types a text.
func (term *terminal) write(window, text string) {
	term.t.Helper()
	term.run("send-keys", "-t", window, "-l", text)
}

// shown is what a window shows.
func (term *terminal) shown(window string) string {
	term.t.Helper()
	return term.run("capture-pane", "-p", "-t", window)
}

// until waits until a window shows all of these texts, wherever lines are broken,
// and returns what it shows.
func (term *terminal) until(window string, texts ...string) string {
	term.t.Helper()
	shown, err := term.await(window, func(shown string) bool {
		for _, text := range texts {
			if !strings.Contains(unbroken(shown), unbroken(text)) {
				return false
			}
		}
		return true
	})
	if err != nil {
		term.t.Fatalf("waited for %q: %v; the window shows\n%s", texts, err, shown)
	}
	return shown
}

// gone waits until a window does not show a text any more.
func (term *terminal) gone(window, text string) string {
	term.t.Helper()
	shown, err := term.await(window, func(shown string) bool {
		return !strings.Contains(unbroken(shown), unbroken(text))
	})
	if err != nil {
		term.t.Fatalf("waited for %q to go: %v; the window shows\n%s", text, err, shown)
	}
	return shown
}

var errLate = fmt.Errorf("not within %s", patience)

func (term *terminal) await(window string, condition func(shown string) bool) (string, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		shown := term.shown(window)
		if condition(shown) {
			return shown, nil
		}
		select {
		case <-again.C:
		case <-late.C:
			return shown, errLate
		case <-term.t.Context().Done():
			return shown, errors.New("the test has ended")
		}
	}
}

// unbroken is text without line breaks and with single blanks.
func unbroken(text string) string { return strings.Join(strings.Fields(text), " ") }

// checked says that a screen fills the terminal, and no line is longer.
func (term *terminal) checked(shown string) {
	term.t.Helper()
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	if len(lines) != term.height {
		term.t.Errorf("the screen has %d lines, want %d:\n%s", len(lines), term.height, shown)
	}
	if last := lines[len(lines)-1]; strings.TrimSpace(last) == "" {
		term.t.Errorf("the screen has no footer:\n%s", shown)
	}
}

// snapshot keeps a screen for the documents, where that is asked for.
func (term *terminal) snapshot(name, shown string) {
	term.t.Helper()
	term.checked(shown)
	if os.Getenv("TUI_SNAPSHOTS") == "" {
		return
	}
	const folder = "../../docs/tui"
	if err := os.MkdirAll(folder, 0o755); err != nil {
		term.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimRight(shown, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	file := filepath.Join(folder, fmt.Sprintf("%s-%dx%d.txt", name, term.width, term.height))
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		term.t.Fatal(err)
	}
}
