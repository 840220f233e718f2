package tui

import (
	"context"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/view"
)

// detail is everything about the paths to one port. It asks the endpoints when it
// is opened, on v and after a change that was made here, never by itself.
type detail struct {
	desk      *desk
	port      cliv1alpha1.PortReference
	ctx       context.Context
	end       context.CancelFunc
	verifying work
	// settling is until when a change that was made here may still be on its way.
	settling time.Time
	pane     pane
}

// settlingTime is how long after a change made here the endpoints are asked again
// whenever what decides about them gets another: the operator takes its steps.
const settlingTime = 30 * time.Second

func newDetail(d *desk, port cliv1alpha1.PortReference) *detail {
	s := &detail{desk: d, port: port}
	s.ctx, s.end = context.WithCancel(d.ctx)
	return s
}

// Init asks the endpoints.
func (s *detail) Init() tea.Cmd { return s.verify() }

func (s *detail) verify() tea.Cmd { return begin(s.ctx, &s.verifying, s.desk, s.desk.verify(s.port)) }

// Title is the port.
func (s *detail) Title() string { return s.desk.portName(s.port) }

// Typing is never so.
func (*detail) Typing() bool { return false }

// Leave ends the asking.
func (s *detail) Leave() { s.end() }

// Busy is how far the asking has come.
func (s *detail) Busy() string { return s.verifying.doing("asking endpoints") }

// Refused are the changes that are not offered for the port.
func (s *detail) Refused() []refusal { return s.desk.refused(s.port) }

// Keys are those of the details.
func (s *detail) Keys() []key.Binding {
	keys := []key.Binding{keyBack}
	if s.verifying.running {
		keys[0] = keyCancel
	}
	keys = append(keys, s.desk.offered(s.port)...)
	return append(append(keys, keyFetch, keyVerify, keyCopy), moving...)
}

// Update takes keys and answers.
func (s *detail) Update(msg tea.Msg) (screen, tea.Cmd) {
	switch msg := msg.(type) {
	case report:
		return s, s.verifying.progress(msg)
	case finished[session.Probed]:
		return s, s.verified(msg)
	case changed:
		s.settling = s.desk.clock.Add(settlingTime)
		return s, s.verify()
	case worldChanged:
		if !s.verifying.running && s.desk.outdated(s.port) && s.desk.clock.Before(s.settling) {
			return s, s.verify()
		}
	case tea.KeyPressMsg:
		return s, s.key(msg)
	}
	return s, nil
}

func (s *detail) key(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case s.pane.scroll(msg, false):
		return nil
	case pressed(msg, keyBack) && s.verifying.cancel():
		return nil
	case pressed(msg, keyBack):
		return tell(pop{})
	case pressed(msg, keyVerify):
		return s.verify()
	default:
		return s.desk.act(msg, s.port)
	}
}

// verified takes the answers, if they are those that are waited for.
func (s *detail) verified(msg finished[session.Probed]) tea.Cmd {
	if !s.verifying.finish(msg.number) {
		return nil
	}
	if msg.err != nil {
		return s.desk.fault("verify "+s.Title(), msg.err)
	}
	s.desk.keep(msg.value)
	return nil
}

// View is the part of the text that is seen.
func (s *detail) View(width, height int) string {
	return s.pane.show(s.text(width), width, height)
}

// text is the verdict first, and then what leads to it.
func (s *detail) text(width int) string {
	d := s.desk
	paths := d.pathsOf(s.port)
	if len(paths) == 0 {
		return s.gone()
	}
	var page strings.Builder
	style := d.theme.words.Within(width - 2)
	if err := (view.Detail{Style: style, Now: d.clock, Wide: true, Live: d.state.Live}).Print(&page, paths); err != nil {
		return err.Error()
	}
	// Its heading is in the header; the verdict is its first paragraph.
	_, body, _ := strings.Cut(page.String(), "\n\n")
	verdict, rest, _ := strings.Cut(body, "\n\n")
	var text strings.Builder
	asked := styled(d.theme.faint, s.asked()+portWords(paths[0].Service), width-2)
	text.WriteString(verdict + "\n\n" + strings.Join(asked, "\n") + "\n\n" + rest)
	if chains := d.chains(s.port, style); chains != "" {
		text.WriteString("\n" + d.theme.title.Render("CERTIFICATES") + "\n" + chains)
	}
	if events := d.events(paths); events != "" {
		text.WriteString("\n" + d.theme.title.Render("EVENTS") + "\n" + events)
	}
	return text.String()
}

// portWords is what else there is to know of a port.
func portWords(port cliv1alpha1.PortReference) string {
	text := ""
	if port.PortName != "" {
		text += " The port is named " + port.PortName + "."
	}
	if port.AppProtocol != "" {
		text += " Its appProtocol is " + port.AppProtocol + "."
	}
	return text
}

// gone is said of a port to which nothing leads any more, or not yet.
func (s *detail) gone() string {
	if !s.desk.known {
		return "reading…"
	}
	return "Nothing leads to " + s.Title() + " any more: no route, and no BackendTLSPolicy."
}

// asked says when the endpoints were asked, and whether that still counts.
func (s *detail) asked() string {
	d := s.desk
	p, ok := d.asked[anonymous(s.port)]
	switch {
	case s.verifying.running && !ok:
		return "The endpoints are being asked; until then this is what the operator says."
	case !ok:
		return "The endpoints were not asked: this is what the operator says. v asks them."
	}
	text := "The endpoints were asked at " + p.At.In(d.clock.Location()).Format("15:04:05")
	if d.outdated(s.port) {
		return text + "; what decides has changed since, so this is what the operator says. v asks them again."
	}
	if p.Fetched.Partial {
		return text + ", but not all of them: that was cancelled. v asks them again."
	}
	return text + "."
}
