package tui

import tea "charm.land/bubbletea/v2"

// ours is a message between the models of this package. What a command of a
// screen results in is brought back to that very screen, wherever in the stack it
// is by then, and dropped once the screen was left. Other messages go to bubbletea
// and to the screen on top. A screen must not use tea.Sequence: it hides messages.
type ours interface{ ours() }

// result is embedded in the messages that a screen sends itself.
type result struct{}

func (result) ours() {}

// push puts a screen over the one that says so. pop takes that one away, with
// all that is over it, and tell, if not nil, is then given to the one below.
type (
	push struct{ screen screen }
	pop  struct{ tell tea.Msg }
)

func (push) ours() {}
func (pop) ours()  {}

// say shows a text above the footer until a key is pressed.
type say struct {
	text string
	bad  bool
}

func (say) ours() {}

// look turns to another scope.
type look struct {
	namespace string
	all       bool
}

func (look) ours() {}

// worldChanged tells every screen that desk.state is another one, or that a time
// that it shows is.
type worldChanged struct{}

// changed is told to the screen below a flow that has made a change.
type changed struct{}

// tell is a command that says a message.
func tell(msg tea.Msg) tea.Cmd { return func() tea.Msg { return msg } }

// addressed is a message for the screen of that number.
type addressed struct {
	to  int
	msg tea.Msg
}

// address makes the messages of ours that a command results in be for a screen.
func address(to int, cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		return nil
	}
	return func() tea.Msg {
		switch msg := cmd().(type) {
		case tea.BatchMsg:
			for i := range msg {
				msg[i] = address(to, msg[i])
			}
			return msg
		case ours:
			return addressed{to: to, msg: msg}
		default:
			return msg
		}
	}
}
