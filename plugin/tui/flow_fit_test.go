package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// wide is text that takes two columns a character, and marks that take none.
const wide = "界面サーバー-é\u0301\u0301-인증서"

// crowd is a Service with much, and with wide text everywhere.
func crowd() *fake {
	modes := under(failing("api"), skipAll, time.Hour)
	modes.Policy.Mode.Reason = wide + " " + wide
	service := newFake(world(modes))
	var served []*cliv1alpha1.Certificate
	for i := range 12 {
		c := certificate(fmt.Sprintf("%s%d", "api", i), i*10)
		c.Subject, c.Issuer = "CN="+wide+wide, "CN="+strings.Repeat(wide, 8)
		served = append(served, c, nil)
	}
	service.fetch = serving(served...)
	for i := range 5 {
		service.pins = append(service.pins, session.LivePin{
			Pin: certificate(fmt.Sprintf("old%d", i), 1).SPKISHA256, State: [...]string{"live", "next", "stale"}[i%3],
			Endpoints: []string{wide, "10.0.0.1:8443 (" + wide + ")"}, Subject: wide, NotAfter: noon,
		})
	}
	one := gateway("web", 3*time.Hour, true, skipAll, skipDates, skipNames)
	one.Rule = strings.Repeat(wide+" ", 9)
	service.allowances = []session.Allowance{one, gateway(strings.Repeat("long", 20), 0, false, skipAll, skipDates, skipNames)}
	judgement := failing("api")
	judgement.Verdict.Message = strings.Repeat(wide+" ", 20)
	service.verify = judged(judgement)
	count := 0
	draft := func() (session.Draft, error) {
		count++
		d := pinDraft()
		d.show = strings.Repeat("\x1b[1mTITLE\x1b[0m "+wide+" text that is long enough to be broken somewhere in the middle\n", 9)
		d.difference = "--- a\n+++ b\n@@ -1 +1 @@\n" + strings.Repeat("+  "+wide+wide+wide+"\n-\tx\n\n", 9)
		switch count % 5 {
		case 1:
			return nil, errors.New(strings.Repeat(wide+"\n", 30))
		case 2:
			d.ask = session.Confirmation{Type: "api", Why: wide}
		case 3:
			d.commit = func(context.Context) error { return fmt.Errorf("%s: %w", wide, edit.ErrChanged) }
		case 4:
			d.idle = true
		}
		return d, nil
	}
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return draft() }
	service.unpin = func(context.Context, cliv1alpha1.PortReference, []string) (session.Draft, error) { return draft() }
	service.skipOn = func(context.Context, session.SkipAsk) (session.Draft, error) { return draft() }
	service.skipOff = func(context.Context, cliv1alpha1.PortReference) (session.Draft, error) { return draft() }
	return service
}

// openings are the flows.
var openings = []func(*desk, cliv1alpha1.PortReference) screen{newPin, newUnpin, newRotate, newSkip}

// strokes are what a byte of a fuzzed sequence does, beside letters.
var strokes = []tea.Msg{
	named["enter"], named["enter"], named["esc"], named["tab"], named["space"], named["up"], named["down"], named["left"],
	named["right"], named["backspace"], named["pgup"], named["pgdown"], named["home"], named["end"], named["shift+tab"],
	tea.PasteMsg{Content: "api\n"},
	tea.PasteMsg{Content: "\x1b[2J\u202e" + wide},
	eraseLine,
	tea.KeyPressMsg{Code: tea.KeyDelete},
	tea.KeyPressMsg{Code: 'w', Mod: tea.ModCtrl},
	tea.WindowSizeMsg{Width: 40, Height: 10},
	tea.WindowSizeMsg{Width: 80, Height: 24},
	tea.WindowSizeMsg{Width: 200, Height: 60},
	tea.WindowSizeMsg{Width: 41, Height: 11},
	tea.WindowSizeMsg{Width: 3, Height: 2},
}

// settle takes the messages of everything that is under way.
func (d *driver) settle() {
	d.t.Helper()
	d.await(func() bool {
		if len(d.app.stack) == 0 {
			return true
		}
		top, ok := d.app.top().(*dialog)
		return !ok || !top.work.running
	}, "what is under way")
}

// fits says that the top screen's text is within these sizes.
func (d *driver) fits(width, height int) {
	d.t.Helper()
	lines := strings.Split(d.app.top().View(width, height), "\n")
	if len(lines) > height {
		d.t.Fatalf("%d lines for %dx%d:\n%s", len(lines), width, height, strings.Join(lines, "\n"))
	}
	for i, line := range lines {
		if ansi.StringWidth(line) > width {
			d.t.Fatalf("line %d is %d wide for %dx%d: %q", i+1, ansi.StringWidth(line), width, height, line)
		}
	}
}

// FuzzAnyKeysAtAnySize presses whatever keys, lets every call finish after each,
// and looks at the screen at several sizes.
func FuzzAnyKeysAtAnySize(f *testing.F) {
	for flow := range openings {
		f.Add(uint8(flow), []byte{0, 1, 4, 3, 0, 6, 0, 'y', 'q', 15, 0, 0, 'r', 'd'})
		f.Add(uint8(flow), []byte("\x00\x06\x00api\x00y\x00\x00\x0b\x0d\x0cr\x00\x00y\x02\x02\x00"))
		f.Add(uint8(flow), []byte{20, 6, 6, 6, 4, 11, 11, 13, 0, 0, 0, '1', 'h', 0, 16, 0, 15, 0, 24, 2, 2, 2})
	}
	f.Fuzz(func(t *testing.T, flow uint8, keys []byte) {
		d := flowing(t, crowd(), 80, 24, openings[int(flow)%len(openings)])
		for _, stroke := range keys[:min(len(keys), 64)] {
			if d.settle(); len(d.app.stack) < 2 {
				return
			}
			for _, size := range [...][2]int{{80, 20}, {40, 7}, {40, 1}, {200, 50}, {1, 1}, {17, 3}} {
				d.fits(size[0], size[1])
			}
			switch {
			case int(stroke) < len(strokes):
				d.send(strokes[stroke])
			case stroke == '?':
			default:
				d.send(tea.KeyPressMsg{Code: rune(stroke), Text: string(rune(stroke))})
			}
		}
	})
}

func TestEveryStepIsUsableOnTheSmallestTerminal(t *testing.T) {
	service := newFake(world(failing("api")))
	service.fetch = serving(certificate("api", 90), unlike("api", 30))
	service.pins = pinnedAPI()
	service.allowances = []session.Allowance{gateway("web", 0, true, skipAll, skipDates)}
	service.verify = judged(failing("api"))
	service.pin = func(context.Context, session.PinAsk) (session.Draft, error) { return pinDraft(), nil }
	service.skipOn = func(context.Context, session.SkipAsk) (session.Draft, error) { return skipDraft(), nil }
	service.forbidden = func(action session.Action, _ cliv1alpha1.PortReference) string {
		return map[session.Action]string{session.ActionSkipOff: "no mode is on"}[action]
	}

	pin := flowing(t, service, 40, 10, newPin)
	pin.until("spki-sha256:")
	pin.pictured("flow/pin-first")
	pin.press("down")
	pin.pictured("flow/pin-second")
	pin.press("enter")
	pin.until("Write btlspolicy/api? y writes it")
	pin.pictured("flow/pin-review")
	pin.press("y")
	pin.until("Enter goes back")
	pin.pictured("flow/pin-done")

	skip := flowing(t, service, 40, 10, newSkip)
	skip.until("What the Gateways")
	skip.pictured("flow/skip-first")
	skip.press("tab", "tab", "because", "enter")
	skip.until("Type api to write it")
	skip.pictured("flow/skip-review")
	skip.press("x", "enter")
	skip.shows("This is not the name")
	skip.pictured("flow/skip-review-wrong")
}
