package tui

import (
	"fmt"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// outcome is what became of a draft.
type outcome struct {
	draft session.Draft
	// standing is the Envoys' last word; fault says why it is not in force.
	standing string
	fault    error
	// probed is what the endpoints get now, nil where they were not asked;
	// unprobed says why nothing is known.
	probed   *session.Probed
	unprobed error
}

// done is the last step. The operator takes its steps after a change: until
// settling the endpoints are asked again whenever what decides about them gets
// another.
type done struct {
	flow     *dialog
	out      outcome
	settling time.Time
	text     pane
}

func (f *dialog) conclude(out outcome) tea.Cmd {
	f.step = &done{flow: f, out: out, settling: f.desk.clock.Add(settlingTime)}
	return nil
}

func (s *done) update(msg tea.Msg) tea.Cmd {
	f := s.flow
	switch msg := msg.(type) {
	case worldChanged:
		if s.out.probed != nil && !f.work.running && f.desk.outdated(f.port) && f.desk.clock.Before(s.settling) {
			return begin(f.ctx, &f.work, f.desk, f.desk.verify(f.port))
		}
	case finished[session.Probed]:
		if f.work.finish(msg.number) && msg.err == nil {
			f.desk.keep(msg.value)
			s.out.probed = &msg.value
		}
	case tea.KeyPressMsg:
		if pressed(msg, keyClose) {
			return f.leave()
		}
		s.text.scroll(msg, false)
	}
	return nil
}

func (s *done) view(width, height int) string {
	look := s.flow.desk.theme
	name := "btlspolicy/" + untrusted.Text(s.out.draft.Policy())
	top := styled(look.good, "Applied: "+name+" is written.", width)
	if s.out.fault != nil {
		top = styled(look.alarm, "WRITTEN, BUT NOT KNOWN TO BE IN FORCE: "+name, width)
	}
	var lines []string
	if s.out.standing != "" {
		lines = append(lines, prose(untrusted.Lines(s.out.standing), width)...)
	}
	if s.out.fault != nil {
		lines = append(lines, styled(look.bad, untrusted.Lines(s.out.fault.Error()), width)...)
	}
	lines = append(lines, s.verdicts(width)...)
	bottom := append([]string{""}, prose("Enter goes back.", width)...)
	return stacked(&s.text, append(top, ""), lines, bottom, width, height)
}

// verdicts are what requests and endpoints get now.
func (s *done) verdicts(width int) []string {
	look := s.flow.desk.theme
	lines := []string{"", look.title.Render("VERDICTS NOW")}
	switch {
	case s.out.unprobed != nil:
		why := "The endpoints could not be asked: " + untrusted.Lines(s.out.unprobed.Error())
		return append(lines, prose(why, width)...)
	case s.out.probed == nil:
		return append(lines, prose("The endpoints were not asked.", width)...)
	}
	above := ""
	for _, path := range s.out.probed.Paths {
		lines = append(lines, s.verdict(from(path), path.Verdict, above, width)...)
		above = path.Verdict.Message
	}
	endpoints := judging(s.out.probed)
	if len(s.out.probed.Paths) == 0 {
		lines = append(lines, s.verdict(s.flow.service(), s.out.probed.Verification.Verdict, above, width)...)
	}
	for _, endpoint := range endpoints {
		verdict := cliv1alpha1.Verdict{
			Result: endpoint.Result, Reason: endpoint.Reason, Message: endpoint.Message, Strict: endpoint.Strict,
		}
		lines = append(lines, s.verdict(member(endpoint.Address, endpoint.Pod), verdict, above, width)...)
		above = endpoint.Message
	}
	return lines
}

// judging are the endpoints as the first Gateway sees them that sends requests to
// them, or, where none does, as the policy is written.
func judging(probed *session.Probed) []cliv1alpha1.Endpoint {
	for _, path := range probed.Paths {
		if path.Verdict.Result != assess.Refused && path.Verdict.Result != assess.Foreign {
			return path.Endpoints
		}
	}
	return probed.Verification.Endpoints
}

// verdict is a line about one path or endpoint, and why it is so, unless just
// that stands above.
func (s *done) verdict(who string, verdict cliv1alpha1.Verdict, above string, width int) []string {
	text := strings.ToLower(verdict.Result)
	if said, known := verdictWords[verdict.Result]; known {
		text = said
	}
	if verdict.Status != 0 {
		text += fmt.Sprintf(" (%d)", verdict.Status)
	}
	if verdict.Reason != "" && verdict.Reason != verdict.Result {
		text += " " + verdict.Reason
	}
	text = s.flow.verdictStyle(verdict.Result).Render(text)
	if verdict.Strict != "" {
		text += "; without the mode it " + s.flow.verdictStyle(verdict.Strict).Render(strings.ToLower(verdict.Strict))
	}
	lines := prose("  "+who+": "+text, width)
	if verdict.Message != "" && verdict.Result != assess.Passes && verdict.Message != above {
		lines = append(lines, prose("    "+verdict.Message, width)...)
	}
	return lines
}

// verdictWords are the results that are no words.
var verdictWords = map[string]string{
	assess.NoEndpoints: "no endpoints", assess.NotProbed: "not probed", assess.Foreign: "another controller decides",
	assess.Unseen: "not known", assess.Unjudged: "not judged",
}

func (f *dialog) verdictStyle(result string) lipgloss.Style {
	switch result {
	case assess.Passes:
		return f.desk.theme.good
	case assess.Fails, assess.Refused, assess.Mixed:
		return f.desk.theme.bad
	default:
		return f.desk.theme.alarm
	}
}

// from is where requests of a path come in.
func from(path cliv1alpha1.Path) string {
	var parts []string
	for _, object := range []*cliv1alpha1.ObjectReference{path.Gateway, path.Route} {
		if object != nil {
			parts = append(parts, strings.ToLower(object.Kind)+"/"+object.Name)
		}
	}
	if len(parts) == 0 {
		return "no Gateway"
	}
	return strings.Join(parts, " ")
}

// member is an address and its pod.
func member(address, pod string) string {
	if pod == "" {
		return address
	}
	return address + " (" + pod + ")"
}

func (s *done) keys() []key.Binding { return []key.Binding{keyClose, keyScroll} }

func (s *done) typing() bool { return false }
