package tui

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// terminal is where the whole program runs in a test: what is typed goes in, what
// it writes is looked at.
type terminal struct {
	t      *testing.T
	typed  *io.PipeWriter
	ended  chan error
	lock   sync.Mutex
	output bytes.Buffer
	more   chan struct{}
}

// Write takes what the program writes.
func (term *terminal) Write(p []byte) (int, error) {
	term.lock.Lock()
	defer term.lock.Unlock()
	select {
	case term.more <- struct{}{}:
	default:
	}
	return term.output.Write(p)
}

func (term *terminal) written() string {
	term.lock.Lock()
	defer term.lock.Unlock()
	return term.output.String()
}

// runAt runs the program at a terminal of 80x24.
func runAt(ctx context.Context, t *testing.T, service Service, color bool, environ ...string) *terminal {
	t.Helper()
	in, typed := io.Pipe()
	term := &terminal{t: t, typed: typed, ended: make(chan error, 1), more: make(chan struct{}, 1)}
	config := Config{
		Service: service, Scope: session.Scope{Namespace: "shop"}, Source: "context dev", Program: "kubectl backendtls",
		In: in, Out: term, Now: func() time.Time { return noon }, Color: color, Environ: environ,
	}
	go func() {
		err := start(ctx, config, tea.WithWindowSize(80, 24), tea.WithoutSignals())
		_ = in.Close()
		term.ended <- err
	}()
	t.Cleanup(func() { _ = typed.Close() })
	return term
}

// until waits until the program has written a text in one piece.
func (term *terminal) until(text string) {
	term.t.Helper()
	deadline := time.After(time.Minute)
	for !strings.Contains(term.written(), text) {
		select {
		case <-term.more:
		case <-deadline:
			term.t.Fatalf("waited for %q in %q", text, term.written())
		}
	}
}

func (term *terminal) typing(keys string) {
	term.t.Helper()
	if _, err := term.typed.Write([]byte(keys)); err != nil {
		term.t.Fatal(err)
	}
}

func (term *terminal) end() error {
	term.t.Helper()
	select {
	case err := <-term.ended:
		return err
	case <-time.After(time.Minute):
		term.t.Fatalf("the program does not end: %q", term.written())
		return nil
	}
}

func TestTheProgramIsLeftInTheMiddleOfWork(t *testing.T) {
	service := newFake(shop())
	asked, ended := make(chan struct{}), make(chan struct{})
	service.verify = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Probed, error) {
		progress(1, 2, "")
		close(asked)
		<-ctx.Done()
		close(ended)
		return session.Probed{Service: port}, ctx.Err()
	}
	term := runAt(t.Context(), t, service, true, "TERM=xterm-256color")
	term.until("basket:443")
	term.typing("\r")
	<-asked
	term.typing("q")
	if err := term.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
	<-ended
	// The alternate screen was left, and the cursor is there again.
	term.until("\x1b[?1049l")
	term.until("\x1b[?25h")
}

func TestTheProgramEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	term := runAt(ctx, t, newFake(shop()), true, "TERM=xterm-256color")
	term.until("basket:443")
	cancel()
	if err := term.end(); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestColorsAreAsDecidedWhateverTheEnvironmentSays(t *testing.T) {
	for _, test := range []struct {
		name    string
		color   bool
		environ []string
	}{
		{"in color", true, []string{"TERM=xterm-256color"}},
		{"in color where the terminal is not known", true, []string{"TERM=something"}},
		{"without, NO_COLOR is a word", false, []string{"TERM=xterm-256color", "NO_COLOR=yes"}},
		{"without, NO_COLOR is nothing", false, []string{"TERM=xterm-256color", "COLORTERM=truecolor"}},
		{"without, the terminal is dumb", false, []string{"TERM=dumb"}},
		{"without, even if they are forced", false, []string{"TERM=xterm", "CLICOLOR_FORCE=1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			term := runAt(t.Context(), t, newFake(shop()), test.color, test.environ...)
			term.until("basket:443")
			term.typing("q")
			if err := term.end(); err != nil {
				t.Fatal(err)
			}
			if colored := hasColor(term.written()); colored != test.color {
				t.Errorf("colors: %v, want %v: %q", colored, test.color, term.written())
			}
			if asks := strings.Contains(term.written(), "\x1b]11;?"); asks != test.color {
				t.Errorf("asks for the background: %v, want %v", asks, test.color)
			}
		})
	}
}

// hasColor says whether a foreground or background is set to anything but the
// terminal's own.
func hasColor(output string) bool {
	for part := range strings.SplitSeq(output, "\x1b[") {
		codes, _, isStyle := strings.Cut(part, "m")
		if !isStyle || strings.Trim(codes, "0123456789;") != "" {
			continue
		}
		for code := range strings.SplitSeq(codes, ";") {
			if len(code) == 2 && (code[0] == '3' || code[0] == '4' || code[0] == '9') && code[1] != '9' {
				return true
			}
		}
	}
	return false
}

func TestTheThemeFollowsTheBackground(t *testing.T) {
	term := runAt(t.Context(), t, newFake(shop()), true, "TERM=xterm-256color")
	term.until("basket:443")
	term.until("\x1b]11;?")
	dark := term.written()
	term.typing("\x1b]11;rgb:ffff/ffff/ffff\x1b\\")
	// The verdict 503 is dark red on white.
	term.until("38;5;124")
	if strings.Contains(dark, "38;5;124") {
		t.Error("dark red on black")
	}
	term.typing("q")
	if err := term.end(); err != nil {
		t.Error(err)
	}
}

// TestNothingThatIsShownDrivesTheTerminal has texts with sequences in them, as if
// they had not been cleaned.
func TestNothingThatIsShownDrivesTheTerminal(t *testing.T) {
	const hostile = "x\x1b]0;owned\x07y\x1b[2Jz\x1b]52;c;b3duZWQ=\x07\x9b31m\r\n\x00"
	p := failing("api")
	p.Verdict.Message, p.Policy.Name, p.Hostnames[0] = hostile, hostile, hostile
	state := world(p)
	state.Warnings = []string{hostile}
	service := newFake(state)
	service.verify = answers(p)
	term := runAt(t.Context(), t, service, true, "TERM=xterm-256color")
	term.until("api:443")
	term.typing("\r")
	term.until("asked at")
	term.typing("\x1b[Fq")
	if err := term.end(); err != nil {
		t.Fatal(err)
	}
	for _, driving := range []string{"owned", "\x1b]52", "b3duZWQ", "\x00", "\x9b"} {
		if strings.Contains(term.written(), driving) {
			t.Errorf("%q was written: %q", driving, term.written())
		}
	}
}
