package plugin

import (
	"context"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// alternate is how a program on a terminal takes the whole of it.
const alternate = "\x1b[?1049h"

// newScreen is a terminal that has a size.
func newScreen(t *testing.T) *terminal {
	t.Helper()
	term := newTerminal(t)
	raw, err := term.person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		ioctl = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	})
	if err != nil || ioctl != nil {
		t.Fatal(err, ioctl)
	}
	return term
}

func TestScreensBeginWhereAPersonLooksAndNothingElseIsAskedFor(t *testing.T) {
	for line, screens := range map[string]bool{
		"inspect -f desk":                            true,
		"inspect -A -f desk":                         true,
		"inspect --read-only --via direct -f desk":   true,
		"inspect svc/good --no-probe -f desk":        false,
		"inspect -o table -f desk":                   false,
		"inspect -o name -f desk":                    false,
		"inspect -l app=good -f desk":                false,
		"inspect --probe --probe-timeout 1s -f desk": false,
		"inspect --no-probe -f desk":                 false,
	} {
		t.Run(line, func(t *testing.T) {
			b := newDesk(t)
			t.Setenv("TERM", "xterm-256color")
			term := newScreen(t)
			ended := term.start(t.Context(), b, line)
			if screens {
				term.await(alternate)
				term.await("good")
				term.enter("q")
			}
			term.end(ended)
			if got := strings.Contains(term.text(), alternate); got != screens {
				t.Errorf("screens: %v\n%s", got, term.text())
			}
		})
	}
}

func TestADumbTerminalGetsTheTable(t *testing.T) {
	b := newDesk(t)
	t.Setenv("TERM", "dumb")
	term := newScreen(t)
	term.end(term.start(t.Context(), b, "inspect -f desk"))
	if strings.Contains(term.text(), alternate) || !strings.Contains(term.text(), "SERVICE ") {
		t.Errorf("got\n%s", term.text())
	}
}

func TestTheProgramAloneBeginsTheScreensOrHelps(t *testing.T) {
	d := newClusterDesk(t)
	t.Setenv("TERM", "xterm-256color")
	term := newScreen(t)
	ended := term.start(t.Context(), d.bench, "--server "+d.api.URL)
	term.await(alternate)
	term.await("good")
	term.enter("q")
	if code := term.end(ended); code != 0 {
		t.Errorf("exit code %d:\n%s", code, term.text())
	}

	if code, stdout, _ := d.cluster(""); code != 0 || !strings.Contains(stdout, "Usage:") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}

func TestTheTerminalIsGivenBackHoweverItEnds(t *testing.T) {
	for name, test := range map[string]struct {
		typed string
		code  int
	}{
		"by q":        {"q", 0},
		"by Ctrl-C":   {"\x03", 0},
		"by a signal": {"", 130},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDesk(t)
			t.Setenv("TERM", "xterm-256color")
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			term := newScreen(t)
			ended := term.start(ctx, b, "inspect -f desk")
			term.await("good")
			if test.typed == "" {
				interrupt()
			} else if _, err := term.person.WriteString(test.typed); err != nil {
				t.Fatal(err)
			}
			if code := term.end(ended); code != test.code {
				t.Errorf("exit code %d:\n%s", code, term.text())
			}
			term.await("\x1b[?1049l")
		})
	}
}
