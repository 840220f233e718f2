package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// pinned is what a policy pins, judged by what its endpoints serve: what the
// flows share that look at pins.
type pinned struct {
	*dialog

	pins []session.LivePin
	seen session.Fetched
	// unasked says why nobody knows which of them are served.
	unasked error
}

// ask asks the endpoints, and goes on with the pins whether they answer or not:
// a pin can be dropped without them.
func (p *pinned) ask(then func() tea.Cmd) tea.Cmd {
	return run(p.dialog, "Asking the endpoints of "+p.service()+" which pins they serve", p.leave,
		func(ctx context.Context, progress session.Progress) (session.Fetched, error) {
			return p.desk.service.Fetch(ctx, p.port, progress)
		},
		func(seen session.Fetched, err error) tea.Cmd {
			p.unasked = err
			if err == nil && len(silent(seen.Endpoints)) == len(seen.Endpoints) {
				p.unasked = errNobodyAnswered
			}
			p.seen, p.pins = seen, p.desk.service.Pins(p.port, seen)
			return then()
		})
}

var errNobodyAnswered = errors.New("no endpoint presented a certificate")

// silent are the endpoints that presented no certificate.
func silent(endpoints []cliv1alpha1.EndpointCertificate) []cliv1alpha1.EndpointCertificate {
	return slices.DeleteFunc(slices.Clone(endpoints), func(endpoint cliv1alpha1.EndpointCertificate) bool {
		return len(endpoint.Chain) > 0
	})
}

// doubt says whose certificates are not known, and so why a pin may be served
// that seems not to be.
func (p *pinned) doubt(width int) []string {
	look := p.desk.theme
	if p.unasked != nil {
		why := "Which pins are served is not known: " + untrusted.Text(p.unasked.Error())
		return append([]string{""}, styled(look.alarm, why, width)...)
	}
	quiet := silent(p.seen.Endpoints)
	if len(quiet) == 0 {
		return nil
	}
	return append([]string{""}, p.unanswered(quiet, width)...)
}

// unanswered lists endpoints without a certificate, and why.
func (f *dialog) unanswered(quiet []cliv1alpha1.EndpointCertificate, width int) []string {
	lines := styled(f.desk.theme.bad, "NO CERTIFICATE from "+count(len(quiet), "endpoint")+
		"; what is served there is not known", width)
	for _, endpoint := range quiet {
		text := "  " + member(endpoint.Address, endpoint.Pod) + ": " + endpoint.Fault
		if endpoint.Error != "" {
			text += ", " + endpoint.Error
		}
		lines = append(lines, prose(text, width)...)
	}
	return lines
}

// item is a pin, its state, and what serves it; mark stands before it.
func (p *pinned) item(pin session.LivePin, mark string, focused bool, width int) []string {
	look := p.desk.theme
	style, pointer := look.title, "  "
	if focused {
		style, pointer = look.cursor, "> "
	}
	lines := styled(style, pointer+mark+pin.Pin, width)
	if p.unasked != nil {
		return lines
	}
	switch pin.State {
	case session.PinLive:
		text := look.good.Render("live") + ": " + strings.Join(pin.Endpoints, ", ")
		lines = append(lines, prose(inItem+text, width)...)
		if !pin.NotAfter.IsZero() {
			certificate := orNone(pin.Subject) + ", expires " + expiry(pin.NotAfter, p.now()) +
				", on " + pin.NotAfter.UTC().Format(time.RFC3339)
			lines = append(lines, prose(inItem+certificate, width)...)
		}
	case session.PinNext:
		lines = append(lines, prose(inItem+look.title.Render("next")+": no endpoint serves it yet", width)...)
	default:
		text := look.alarm.Render(pin.State) + ": no endpoint serves it"
		lines = append(lines, prose(inItem+text, width)...)
	}
	return lines
}

// now is when the endpoints were asked.
func (p *pinned) now() time.Time {
	if p.seen.At.IsZero() {
		return p.desk.clock
	}
	return p.seen.At
}
