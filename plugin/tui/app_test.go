package tui

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// everywhere is how each screen is reached from the list.
var everywhere = map[string][]string{
	"list": nil, "filter": {"/", "a"}, "help": {"?"}, "picker": {"n"}, "detail": {"enter"},
	"help of the detail": {"enter", "?"}, "fetch": {"f"}, "pin": {"p"}, "unpin": {"u"}, "rotate": {"r"},
	"skip-verify": {"s"}, "warnings": {"w"},
}

// crowded is a Service whose screens are all full.
func crowded() *fake {
	state := shop()
	state.Warnings = []string{"may not list secrets in namespace shop"}
	service := newFake(state)
	service.verify = answers(failing("api"))
	service.fetch = func(
		_ context.Context, port cliv1alpha1.PortReference, _ session.Progress,
	) (session.Fetched, error) {
		return served(port), nil
	}
	return service
}

// goTo presses the keys of everywhere, waiting for each screen.
func (d *driver) goTo(keys []string) {
	d.t.Helper()
	d.until("api:443")
	for _, key := range keys {
		depth := len(d.app.stack)
		d.press(key)
		if key != "/" && key != "a" {
			d.await(func() bool { return len(d.app.stack) > depth }, "the screen of "+key)
		}
	}
	d.idle()
}

func TestEveryScreenSaysThatVerificationIsOff(t *testing.T) {
	for name, keys := range everywhere {
		t.Run(name, func(t *testing.T) {
			d := drive(t, crowded(), 80, 24)
			d.goTo(keys)
			d.shows("VERIFICATION OFF: svc/api, 01:58:18 left; +1 more")
			d.resize(20, 3)
			d.shows("VERIFICATION OFF: …")
		})
	}
}

func TestTheBannerOfTheWeakerModesSaysWhatIsNotVerified(t *testing.T) {
	endless := under(failing("legacy"), "InsecureSkipOnlySANVerification", 0)
	endless.Policy.Mode.Until = nil
	again := under(failing("vendor"), "InsecureAllowExpired", time.Minute)
	again.Rule = 1
	d := drive(t, newFake(world(endless, under(failing("vendor"), "InsecureAllowExpired", time.Minute), again,
		under(failing("other"), "InsecureSkipOnlySANVerification", time.Hour))), 160, 24)
	d.until("NAMES NOT VERIFIED: svc/legacy, no end; svc/other, 01:00:00 left; " +
		"DATES NOT VERIFIED: svc/vendor, 00:01:00 left")
}

func TestTheCountdownRunsOnlyWhileAModeIsOn(t *testing.T) {
	now := noon
	service := newFake(world(under(failing("api"), "InsecureSkipVerification", 2*time.Second)))
	d := drive(t, service, 80, 24, func(c *Config) { c.Now = func() time.Time { return now } })
	d.until("VERIFICATION OFF: svc/api, 00:00:02 left")
	if !d.app.ticking {
		t.Error("nothing counts down")
	}
	for _, step := range []struct {
		passed time.Duration
		shows  string
	}{{time.Second, "00:00:01 left"}, {time.Second, "00:00:00 left"}, {time.Minute, "00:00:00 left"}} {
		now = now.Add(step.passed)
		d.send(ticked{})
		d.shows(step.shows)
	}
	service.states <- world(failing("api"))
	d.await(func() bool { return len(d.app.desk.active) == 0 }, "the end of the mode")
	d.hides("VERIFICATION OFF")
	d.send(ticked{})
	if d.app.ticking {
		t.Error("something counts, and nothing is there to be counted")
	}
}

func TestTheCountdownIsByTheClockThatModesAreJudgedBy(t *testing.T) {
	state := world(under(failing("api"), "InsecureSkipVerification", time.Hour))
	state.Now = noon.Add(10 * time.Minute)
	d := drive(t, newFake(state), 80, 24)
	d.until("VERIFICATION OFF: svc/api, 00:50:00 left")
}

func TestQuittingEndsEverything(t *testing.T) {
	for _, quit := range []string{"q", "ctrl+c"} {
		t.Run(quit, func(t *testing.T) {
			service := newFake(shop())
			asked, ended := make(chan struct{}), make(chan struct{})
			service.verify = func(
				ctx context.Context, port cliv1alpha1.PortReference, _ session.Progress,
			) (session.Probed, error) {
				close(asked)
				<-ctx.Done()
				close(ended)
				return session.Probed{Service: port}, ctx.Err()
			}
			d := drive(t, service, 80, 24)
			d.until("api:443")
			d.press("enter")
			d.until("paths > svc/api")
			<-asked
			d.press(quit)
			<-ended
			d.await(func() bool { return d.quit }, "the end")
			if d.app.desk.ctx.Err() == nil {
				t.Error("the context of the program has not ended")
			}
		})
	}
}

func TestLettersAreTextWhileOneTypes(t *testing.T) {
	d := drive(t, newFake(shop()), 80, 24)
	d.until("api:443")
	d.press("/", "q?")
	d.send(tea.PasteMsg{Content: "x\x1b[31m\ny\t"})
	d.shows("filter > q?x[31m y")
	d.press("ctrl+c")
	d.await(func() bool { return d.quit }, "the end")
}

func TestAPasteIsIgnoredWhereNothingIsTyped(t *testing.T) {
	d := drive(t, newFake(shop()), 80, 24)
	d.until("api:443")
	before := d.screen()
	d.send(tea.PasteMsg{Content: "q\r\npppp"})
	if after := d.screen(); after != before {
		t.Errorf("a paste changed the screen:\n%s", after)
	}
}

func TestAMessageStaysUntilAKeyIsPressed(t *testing.T) {
	service := newFake(shop())
	service.manifest = func(cliv1alpha1.PortReference) (string, error) {
		return "", errors.New("no policy decides\n" + strings.Repeat("and why\n", 30))
	}
	d := drive(t, service, 80, 24)
	d.until("api:443")
	d.press("y")
	d.until("copy the YAML for svc/api: no policy decides", "… e shows all of it")
	service.states <- shop()
	d.one()
	d.shows("no policy decides")
	d.press("e")
	d.until("paths > message", "-- 12 more lines")
	d.press("esc")
	d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
	d.hides("no policy decides")
	d.press("e")
	d.shows("> api:443")
}

func TestTheYAMLIsSentToTheClipboard(t *testing.T) {
	service := newFake(shop())
	service.manifest = func(port cliv1alpha1.PortReference) (string, error) {
		return "kind: BackendTLSPolicy\nmetadata:\n  name: " + port.Name + "\n", nil
	}
	d := drive(t, service, 80, 24)
	d.until("api:443")
	d.press("y")
	d.until("sent the YAML for svc/api to the clipboard (3 lines)")
	d.await(func() bool { return d.clipboard != "" }, "the clipboard")
	if want := "kind: BackendTLSPolicy\nmetadata:\n  name: api\n"; d.clipboard != want {
		t.Errorf("copied %q, want %q", d.clipboard, want)
	}
}

// TestEverySizeIsDrawn resizes every screen again and again: each frame has as
// many lines as the terminal, none of them longer than a line of it.
func TestEverySizeIsDrawn(t *testing.T) {
	for name, keys := range everywhere {
		t.Run(name, func(t *testing.T) {
			d := drive(t, crowded(), 80, 24)
			d.goTo(keys)
			random := rand.New(rand.NewPCG(1, 2))
			for range 300 {
				width, height := random.IntN(200), random.IntN(60)
				d.resize(width, height)
				checkFrame(t, d, width, height)
			}
			d.resize(80, 24)
		})
	}
}

func checkFrame(t *testing.T, d *driver, width, height int) {
	t.Helper()
	content := d.app.View().Content
	if width == 0 || height == 0 {
		return
	}
	lines := strings.Split(content, "\n")
	if len(lines) > height {
		t.Fatalf("%dx%d: %d lines\n%s", width, height, len(lines), content)
	}
	if width >= narrowest && height >= lowest && len(lines) != height {
		t.Fatalf("%dx%d: only %d lines\n%s", width, height, len(lines), content)
	}
	for i, line := range lines {
		if ansi.StringWidth(line) > width {
			t.Fatalf("%dx%d: line %d is %d wide\n%s", width, height, i+1, ansi.StringWidth(line), content)
		}
	}
}

func TestATerminalThatIsTooSmallSaysSo(t *testing.T) {
	d := drive(t, newFake(shop()), 39, 24)
	d.until("at least 40x10 are needed; q quits")
	d.resize(80, 24)
	d.until("api:443")
	d.resize(80, 9)
	d.shows("at least 40x10 are needed; q quits")
	d.press("q")
	d.await(func() bool { return d.quit }, "the end")
}

// TestHostileTextStaysInItsPlace has names as long and as strange as they get
// through cleaning.
func TestHostileTextStaysInItsPlace(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("W", 4000), strings.Repeat("名前", 300), strings.Repeat("e\u0301", 300), "👩‍👩‍👧‍👦" + strings.Repeat("🏳️‍🌈", 100),
		strings.Repeat("a ", 500), `\u001b]0;title\u0007`, strings.Repeat("\u0e33", 80),
	} {
		t.Run(fmt.Sprintf("%.8q", text), func(t *testing.T) {
			p := failing("api")
			p.Verdict.Message, p.Verdict.Reason = text, text
			p.Policy.Name, p.Hostnames, p.Route.Name = text, []string{text}, text
			p.Policy.Mode = cliv1alpha1.Mode{
				Requested: text, Enforced: "InsecureSkipVerification", State: "Active", Reason: text,
			}
			for i := range p.Endpoints {
				p.Endpoints[i].Pod, p.Endpoints[i].Message = text, text
				p.Endpoints[i].Certificate.Subject, p.Endpoints[i].Certificate.SANs = text, []string{text, text}
			}
			state := world(p)
			state.Warnings, state.Namespaces, state.Source = []string{text}, []string{text}, text
			state.Events = []session.Event{{Object: *p.Gateway, At: noon, Type: text, Reason: text, Text: text}}
			for name, keys := range everywhere {
				service := crowded()
				<-service.states
				service.states <- state
				service.verify = answers(p)
				d := drive(t, service, 80, 24)
				d.goTo(keys)
				d.send(addressed{to: 1, msg: say{text: text, bad: true}})
				for _, size := range sizes {
					d.resize(size.width, size.height)
					for range 4 {
						checkFrame(t, d, size.width, size.height)
						d.send(tea.KeyPressMsg{Code: tea.KeyPgDown})
					}
				}
				if !strings.Contains(d.screen(), "VERIFICATION OFF") {
					t.Errorf("%s lost its banner:\n%s", name, d.screen())
				}
			}
		})
	}
}
