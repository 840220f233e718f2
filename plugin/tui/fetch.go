package tui

import (
	"context"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// fetch shows what the endpoints of a port serve.
type fetch struct {
	desk     *desk
	port     cliv1alpha1.PortReference
	ctx      context.Context
	end      context.CancelFunc
	fetching work
	fetched  *session.Fetched
	pane     pane
}

func newFetch(d *desk, port cliv1alpha1.PortReference) *fetch {
	s := &fetch{desk: d, port: port}
	s.ctx, s.end = context.WithCancel(d.ctx)
	return s
}

// Init asks the endpoints.
func (s *fetch) Init() tea.Cmd {
	service, port := s.desk.service, s.port
	return begin(s.ctx, &s.fetching, s.desk,
		func(ctx context.Context, progress session.Progress) (session.Fetched, error) {
			return service.Fetch(ctx, port, progress)
		})
}

// Title is what is done.
func (s *fetch) Title() string { return "fetch " + s.desk.portName(s.port) }

// Typing is never so.
func (*fetch) Typing() bool { return false }

// Leave ends the asking.
func (s *fetch) Leave() { s.end() }

// Busy is how far the asking has come.
func (s *fetch) Busy() string { return s.fetching.doing("asking endpoints") }

// Keys are those of this screen.
func (s *fetch) Keys() []key.Binding {
	if s.fetching.running {
		return append([]key.Binding{keyCancel}, moving...)
	}
	return append([]key.Binding{keyBack, bind("f", "fetch again", "f")}, moving...)
}

// Update takes keys and answers.
func (s *fetch) Update(msg tea.Msg) (screen, tea.Cmd) {
	switch msg := msg.(type) {
	case report:
		return s, s.fetching.progress(msg)
	case finished[session.Fetched]:
		return s, s.take(msg)
	case tea.KeyPressMsg:
		switch {
		case s.pane.scroll(msg, false):
		case pressed(msg, keyBack) && s.fetching.cancel():
		case pressed(msg, keyBack):
			return s, tell(pop{})
		case pressed(msg, keyFetch):
			return s, s.Init()
		}
	}
	return s, nil
}

func (s *fetch) take(msg finished[session.Fetched]) tea.Cmd {
	if !s.fetching.finish(msg.number) {
		return nil
	}
	if len(msg.value.Endpoints) > 0 || msg.err == nil {
		s.fetched = &msg.value
	}
	if msg.err != nil {
		return s.desk.fault(s.Title(), msg.err)
	}
	return nil
}

// View is the certificates, or how far the asking has come.
func (s *fetch) View(width, height int) string {
	switch {
	case s.fetched == nil && s.fetching.running:
		return s.pane.center(s.desk.theme, "FETCHING\n"+s.Busy()+"…\n\nesc cancels", width, height)
	case s.fetched == nil:
		return s.pane.center(s.desk.theme, "NOTHING FETCHED\nf asks the endpoints again.", width, height)
	case len(s.fetched.Endpoints) == 0:
		return s.pane.center(s.desk.theme, "NO ENDPOINTS\nThe port has no endpoint that could be asked.", width, height)
	}
	text := s.desk.served(*s.fetched, s.desk.theme.words.Within(width-2))
	if s.fetched.Partial {
		text = s.desk.theme.alarm.Render("CANCELLED") + ": not every endpoint was asked.\n\n" + text
	}
	return s.pane.show(text, width, height)
}
