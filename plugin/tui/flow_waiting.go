package tui

import (
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	"github.com/backendtls/backendtls/plugin/untrusted"
)

// waiting is the step in which a call of the Service is under way.
type waiting struct {
	flow  *dialog
	doing string
	// escape is what Esc does after the call was cancelled.
	escape  func() tea.Cmd
	outcome func(tea.Msg) tea.Cmd
}

func (s *waiting) update(msg tea.Msg) tea.Cmd {
	if pressed(msg, keyCancel) {
		s.flow.work.stop()
		return s.escape()
	}
	return s.outcome(msg)
}

func (s *waiting) view(width, height int) string {
	lines := prose(s.flow.desk.theme.title.Render(s.doing), width)
	return sized(append(lines, s.flow.progress(width)...), width, height)
}

func (s *waiting) keys() []key.Binding { return []key.Binding{keyCancel} }

func (s *waiting) typing() bool { return false }

// progress is how far the work has come.
func (f *dialog) progress(width int) []string {
	var lines []string
	if of := f.work.of; of > 0 {
		const widest = 30
		count := fmt.Sprintf("%d of %d", f.work.done, of)
		cells := min(widest, width-len(count)-3)
		line := count
		if cells > 0 {
			full := min(max(cells*f.work.done/of, 0), cells)
			line = "[" + strings.Repeat("#", full) + strings.Repeat(".", cells-full) + "] " + count
		}
		lines = append(lines, "", line)
	}
	if f.work.text != "" {
		lines = append(lines, "")
		lines = append(lines, prose(untrusted.Lines(f.work.text), width)...)
	}
	return lines
}
