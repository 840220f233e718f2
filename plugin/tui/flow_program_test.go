package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// observed is the root model in a real program, whose screen can be read from
// outside of it after every message.
type observed struct {
	tea.Model

	mu    sync.Mutex
	shown string
	fresh chan struct{}
}

func (o *observed) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	updated, cmd := o.Model.Update(msg)
	o.Model = updated
	o.mu.Lock()
	o.shown = ansi.Strip(updated.View().Content)
	o.mu.Unlock()
	select {
	case o.fresh <- struct{}{}:
	default:
	}
	return o, cmd
}

func (o *observed) screen() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shown
}

// program is the whole program: bytes of a terminal go in, as they are typed.
type program struct {
	t     *testing.T
	in    *io.PipeWriter
	model *observed
	done  chan error
}

// play runs the program for a Service, as Run does.
func play(t *testing.T, service Service) *program {
	t.Helper()
	read, write := io.Pipe()
	config := Config{
		Service: service, Scope: session.Scope{Namespace: "shop"}, Source: "context dev", Program: "kubectl backendtls",
		Now: func() time.Time { return noon }, In: read, Out: io.Discard, Environ: []string{"TERM=xterm-256color"},
	}
	ctx, cancel := context.WithCancel(t.Context())
	working, end := context.WithCancel(ctx)
	p := &program{
		t: t, in: write, done: make(chan error, 1),
		model: &observed{Model: newApp(working, end, config), fresh: make(chan struct{}, 1)},
	}
	running := tea.NewProgram(p.model, append(options(config), tea.WithContext(ctx), tea.WithWindowSize(80, 24))...)
	go func() {
		_, err := running.Run()
		p.done <- err
	}()
	t.Cleanup(func() {
		cancel()
		write.Close()
	})
	return p
}

// types sends bytes, as a terminal does.
func (p *program) types(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatal(err)
	}
}

// until waits until the screen shows all of these texts.
func (p *program) until(texts ...string) {
	p.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		shown, missing := p.model.screen(), ""
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-p.model.fresh:
		case <-deadline.C:
			p.t.Fatalf("waited for %q; the screen is\n%s", missing, shown)
		}
	}
}

// ends waits for the end of the program.
func (p *program) ends() {
	p.t.Helper()
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Errorf("the program ended with %v", err)
		}
	case <-time.After(time.Minute):
		p.t.Fatal("the program does not end")
	}
}

// What terminals send.
const (
	typedEnter = "\r"
	typedEsc   = "\x1b"
	typedDown  = "\x1b[B"
	typedCtrlC = "\x03"
)

func pasted(text string) string { return "\x1b[200~" + text + "\x1b[201~" }

func TestThePinStoryInARealProgram(t *testing.T) {
	draft := pinDraft()
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90), unlike("api", 12))
	service.verify = judged(failing("api"))
	var asked []session.PinAsk
	service.pin = func(_ context.Context, ask session.PinAsk) (session.Draft, error) {
		asked = append(asked, ask)
		service.verify = judged(passing("api"))
		return draft, nil
	}
	p := play(t, service)
	p.until("> api:443")
	p.types(typedEnter)
	p.until("UntrustedIssuer", "10.0.0.1:8443")
	p.types("p")
	p.until("2 keys served")
	p.types("\t" + typedDown + " ")
	p.until("[certificate]", "[ ] "+unlike("api", 12).SPKISHA256)
	p.types(typedEnter)
	p.until("y writes it")
	p.types("y")
	p.until("Envoy 2/2 acknowledged", "gateway/web httproute/api: passes")
	p.types(typedEnter)
	p.until("The endpoints were asked at", "passes")
	p.types("q")
	p.ends()
	if len(asked) != 1 || asked[0].Form != edit.FormCertificate || len(asked[0].Keys) != 1 || draft.committed != 1 {
		t.Errorf("asked for %+v, made %d times", asked, draft.committed)
	}
}

func TestTheSkipVerifyStoryInARealProgram(t *testing.T) {
	draft := skipDraft()
	service, asked := skips(draft, gateway("web", 4*time.Hour, true, skipAll, skipDates))
	p := play(t, service)
	p.until("> api:443")
	p.types("s")
	p.until("What the Gateways that lead to svc/api:443 allow")
	p.types("\x1b[C" + typedEnter + "3h" + typedEnter)
	p.until("[everything]", "> 3h", "> Reason")
	p.types(pasted("incident\n4711\n"))
	p.until("> incident 4711")
	p.types(typedEnter)
	p.until("Type api to write it")
	p.types(pasted("api\r"))
	p.until("> api")
	if draft.committed != 0 {
		t.Fatal("what was pasted wrote the change")
	}
	p.types(typedEnter)
	p.until("VERDICTS NOW")
	p.types(typedCtrlC)
	p.ends()
	want := session.SkipAsk{Service: port("api"), For: 3 * time.Hour, Reason: "incident 4711"}
	if len(*asked) != 1 || (*asked)[0] != want {
		t.Errorf("asked for %+v", *asked)
	}
}

func TestTheKeyChangeStoryInARealProgram(t *testing.T) {
	draft := pinDraft()
	p := play(t, keyChange(draft))
	p.until("> api:443")
	p.types("p")
	p.until("KEY CHANGE", "PINNED", "SERVED")
	p.types(typedEnter)
	p.until("This is a key change: no endpoint serves what is pinned.", "Type api to write it")
	p.types("y" + typedEnter)
	p.until("This is not the name, nothing was written.")
	p.types("\x7fapi" + typedEnter)
	p.until("VERDICTS NOW")
	p.types(typedEsc)
	p.until("> api:443")
	p.types("q")
	p.ends()
	if draft.committed != 1 {
		t.Errorf("the change was made %d times", draft.committed)
	}
}

func TestWhatChangedMeanwhileInARealProgram(t *testing.T) {
	service, asked := changedOnce("commit", fmt.Errorf("btlspolicy/api: %w", edit.ErrChanged))
	p := play(t, service)
	p.until("> api:443")
	p.types("p")
	p.until("2 keys served")
	p.types("\t" + typedEnter)
	p.until("y writes it")
	p.types("y")
	p.until("CHANGED MEANWHILE")
	p.types("r")
	p.until("2 keys served", "[certificate]")
	p.types(typedEnter)
	p.until("y writes it")
	p.types("y")
	p.until("VERDICTS NOW")
	p.types("q")
	p.ends()
	if len(*asked) != 2 || (*asked)[1].Form != edit.FormCertificate {
		t.Errorf("asked for %+v", *asked)
	}
}

func TestARealProgramEndsInTheMiddleOfACall(t *testing.T) {
	for name, typed := range map[string]string{"fetch": "q", "commit": typedCtrlC} {
		t.Run(name, func(t *testing.T) {
			under, draft := hold(), pinDraft()
			service := newFake(world(failing("api")))
			service.fetch = serving(certificate("api", 90))
			service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft, nil }
			if name == "commit" {
				draft.commit = under.call
			} else {
				service.fetch = holding(under)
			}
			p := play(t, service)
			p.until("> api:443")
			p.types("p")
			if name == "commit" {
				p.until("1 key served")
				p.types(typedEnter)
				p.until("y writes it")
				p.types("y")
			}
			<-under.begun
			p.types(typed)
			if name == "fetch" {
				p.ends()
				<-under.ended
				return
			}
			p.until("Ctrl-C again quits without the outcome")
			p.types(typed)
			<-under.ended
			p.ends()
			if shown, ok := p.model.Model.(*app); !ok || shown.writing() != "btlspolicy/api" {
				t.Errorf("the program does not know what was being written: %+v", shown)
			}
		})
	}
}
