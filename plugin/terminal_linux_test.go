package plugin

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/plugin/command"
)

// terminal is a person at a pseudo terminal: what a command prints on it, and
// what is typed.
type terminal struct {
	t      *testing.T
	person *os.File
	// device is what the command has as stdin and stderr.
	device *os.File

	lock  sync.Mutex
	shown strings.Builder
	more  chan struct{}
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		if ioctl = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); ioctl == nil {
			number, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	})
	if err != nil || ioctl != nil {
		t.Fatal(err, ioctl)
	}
	device, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, person: person, device: device, more: make(chan struct{}, 1)}
	var reading sync.WaitGroup
	reading.Go(term.read)
	t.Cleanup(func() {
		_ = device.Close()
		_ = person.Close()
		reading.Wait()
	})
	return term
}

// read collects what the command prints, until the device is closed.
func (term *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := term.person.Read(buffer)
		term.lock.Lock()
		term.shown.Write(buffer[:n])
		term.lock.Unlock()
		select {
		case term.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (term *terminal) text() string {
	term.lock.Lock()
	defer term.lock.Unlock()
	return strings.ReplaceAll(term.shown.String(), "\r\n", "\n")
}

// await waits until the command has printed a text.
func (term *terminal) await(text string) {
	term.t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(term.text(), text) {
		select {
		case <-term.more:
		case <-deadline:
			term.t.Fatalf("%q is not printed, but\n%s", text, term.text())
		}
	}
}

func (term *terminal) enter(line string) {
	term.t.Helper()
	if _, err := term.person.WriteString(line + "\n"); err != nil {
		term.t.Fatal(err)
	}
}

// end is the exit code of what was started, once everything that it printed has
// been read.
func (term *terminal) end(ended <-chan int) int {
	term.t.Helper()
	select {
	case code := <-ended:
		const end = "THE END"
		if _, err := term.device.WriteString(end); err != nil {
			term.t.Fatal(err)
		}
		term.await(end)
		return code
	case <-time.After(time.Minute):
		term.t.Fatalf("it does not end:\n%s", term.text())
		return -1
	}
}

// start runs a command line at the terminal. The channel gets its exit code.
func (term *terminal) start(ctx context.Context, b *bench, line string) <-chan int {
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, words(line), command.Options{
			In: term.device, Out: term.device, ErrOut: term.device, Program: "kubectl backendtls",
			Now: func() time.Time { return now }, Dial: b.dial, Readings: b.readings,
		})
	}()
	return ended
}

const (
	asksToWrite = "Write desk/apps/api-policy.yaml? (y/N): "
	asksForName = "Type the name of the policy, "
)

// TestWhatIsTypedDecides answers the questions of the verbs that write.
func TestWhatIsTypedDecides(t *testing.T) {
	for _, test := range []struct {
		name, line, question, answer string
		writes                       bool
	}{
		{"y", "pin svc/api", asksToWrite, "y", true},
		{"Yes", "pin svc/api", asksToWrite, "Yes", true},
		{"n", "pin svc/api", asksToWrite, "n", false},
		{"return alone", "pin svc/api", asksToWrite, "", false},
		{"something else", "pin svc/api", asksToWrite, "yes please", false},
		{"the end of input", "pin svc/api", asksToWrite, "\x04", false},
		{"y to a key change", "pin svc/pinned", asksForName + "pinned, to go on: ", "y", false},
		{"the name to a key change", "pin svc/pinned", asksForName + "pinned, to go on: ", "pinned", true},
		{"y to a key change that is expected", "pin svc/pinned --replace", "Write desk/pinned.json? (y/N): ", "y", true},
		{"y to skip-verify", "skip-verify on svc/api --for 1h --reason x", asksForName + "api, to go on: ", "y", false},
		{"the name to skip-verify", "skip-verify on svc/api --for 1h --reason x", asksForName + "api, to go on: ", "api", true},
		{"another name", "skip-verify on svc/api --for 1h --reason x", asksForName + "api, to go on: ", "apis", false},
		{"the name of a new policy", "skip-verify on svc/new --for 1h --reason x", asksForName + "new, to go on: ", "new", true},
		{"y to unpin", "unpin svc/rotate", "Write desk/rotate.yaml? (y/N): ", "y", true},
		{"n to off", "skip-verify off svc/shut", "Write desk/shut.yaml? (y/N): ", "n", false},
		{"y to off", "skip-verify off svc/shut", "Write desk/shut.yaml? (y/N): ", "y", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newDesk(t)
			term := newTerminal(t)
			before := contents(t, "desk")
			ended := term.start(t.Context(), b, test.line+" -f desk --write")
			term.await(test.question)
			if changed := differences(before, contents(t, "desk")); changed != "" {
				t.Fatalf("files changed before the answer:\n%s", changed)
			}
			term.enter(test.answer)
			code := term.end(ended)
			wrote := differences(before, contents(t, "desk")) != ""
			if wrote != test.writes || (code == 0) != test.writes {
				t.Errorf("exit code %d, wrote %v:\n%s", code, wrote, term.text())
			}
			if !test.writes {
				term.await("error: not confirmed, nothing was written\n")
			}
		})
	}
}

// TestNobodyIsAsked where --yes says so, or nothing would be written.
func TestNobodyIsAsked(t *testing.T) {
	for line, writes := range map[string]bool{
		"pin svc/api --yes --write":                                 true,
		"pin svc/pinned --replace --yes --write":                    true,
		"skip-verify on svc/api --for 1h --reason x --yes --write":  true,
		"skip-verify off svc/shut --yes --write":                    true,
		"unpin svc/rotate -y --write":                               true,
		"pin svc/api":                                               false,
		"pin svc/api --write --dry-run":                             false,
		"pin svc/good --write":                                      false, // It is pinned already.
		"skip-verify on svc/api --for 1h --reason x --read-only":    false,
		"skip-verify on svc/api --for 1h --reason x --dry-run=none": false,
	} {
		t.Run(line, func(t *testing.T) {
			b := newDesk(t)
			term := newTerminal(t)
			before := contents(t, "desk")
			code := term.end(term.start(t.Context(), b, line+" -f desk"))
			wrote := differences(before, contents(t, "desk")) != ""
			if code != 0 || wrote != writes {
				t.Errorf("exit code %d, wrote %v:\n%s", code, wrote, term.text())
			}
		})
	}
}

// TestYesAloneDoesNotReplaceAKey, not even at a terminal.
func TestYesAloneDoesNotReplaceAKey(t *testing.T) {
	b := newDesk(t)
	term := newTerminal(t)
	before := contents(t, "desk")
	if code := term.end(term.start(t.Context(), b, "pin svc/pinned --yes --write -f desk")); code != 1 {
		t.Errorf("exit code %d", code)
	}
	term.await("(--yes alone does not replace a key)")
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
}

// TestWithoutATerminalNobodyIsAsked: silence is no consent.
func TestWithoutATerminalNobodyIsAsked(t *testing.T) {
	b := newDesk(t)
	before := contents(t, "desk")
	for _, line := range []string{
		"pin svc/api", "unpin svc/rotate", "skip-verify on svc/api --for 1h --reason x", "pin svc/pinned --replace",
	} {
		b.stdin = strings.NewReader("y\napi\n")
		code, stdout, stderr := b.run(words(line + " -f desk --write")...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "error: nothing was written: there is no terminal to ") ||
			!strings.HasSuffix(stderr, "add --yes\n") {
			t.Errorf("%s: exit code %d, stdout %q, stderr\n%s", line, code, stdout, stderr)
		}
	}
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
}

func TestAFileThatChangesWhileAskedIsNotWritten(t *testing.T) {
	b := newDesk(t)
	term := newTerminal(t)
	ended := term.start(t.Context(), b, "pin svc/api --form leaf -f desk --write")
	term.await("(y/N): ")
	replace(t, apiPolicy, "# end", "# the end")
	before := contents(t, "desk")
	term.enter("y")
	if code := term.end(ended); code != 1 {
		t.Errorf("exit code %d", code)
	}
	term.await("error: nothing was written: " + apiPolicy + " has changed since the change was shown; run the command again")
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
}

func TestCtrlCEndsAQuestion(t *testing.T) {
	b := newDesk(t)
	term := newTerminal(t)
	before := contents(t, "desk")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := term.start(ctx, b, "pin svc/api -f desk --write")
	term.await(asksToWrite)
	interrupt()
	if code := term.end(ended); code != command.Interrupted {
		t.Errorf("exit code %d", code)
	}
	term.await("error: interrupted")
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
	term.enter("") // The read that nobody waits for any more ends with it.
}

// TestATerminalIsNotDrivenByAManifest, whatever its comments hold.
func TestATerminalIsNotDrivenByAManifest(t *testing.T) {
	b := newDesk(t)
	replace(t, apiPolicy, "# end", "# \u202ereversed\u202c\u200b")
	term := newTerminal(t)
	if code := term.end(term.start(t.Context(), b, "pin svc/api -f desk")); code != 0 {
		t.Errorf("exit code %d", code)
	}
	term.await("Nothing was written: --write writes")
	if text := term.text(); strings.ContainsAny(text, "\u202e\u202c\u200b") || !strings.Contains(text, "# reversed") {
		t.Errorf("printed:\n%q", text)
	}
}
