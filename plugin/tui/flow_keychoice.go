package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// keyChoice is the step in which one says which of the keys to pin, and how.
type keyChoice struct {
	rows

	flow *pinning
	// empty says that Enter was pressed with nothing chosen.
	empty bool
}

var (
	keySelect   = bind("space", "select", "space")
	keyForm     = bind("tab", "form", "tab")
	keyFormBack = bind("shift+tab", "form before", "shift+tab")
	keyGoOn     = bind("enter", "go on", "enter")
)

func (s *keyChoice) update(msg tea.Msg) tea.Cmd {
	p := s.flow
	switch {
	case pressed(msg, keyBack):
		return p.leave()
	case pressed(msg, keySelect):
		spki := p.keys[s.cursor].spki
		p.leftOut[spki] = !p.leftOut[spki]
		s.empty = false
	case pressed(msg, keyForm):
		p.form = neighbor(p.form, 1)
	case pressed(msg, keyFormBack):
		p.form = neighbor(p.form, len(edit.Forms)-1)
	case pressed(msg, keyGoOn):
		if s.empty = len(p.chosen()) == 0; !s.empty {
			return p.draft()
		}
	default:
		s.move(msg, len(p.keys))
	}
	return nil
}

// neighbor is the form so many places behind, around the end.
func neighbor(form edit.Form, by int) edit.Form {
	return edit.Forms[(slices.Index(edit.Forms, form)+by)%len(edit.Forms)]
}

func (s *keyChoice) view(width, height int) string {
	p := s.flow
	var text []string
	if p.keyChange() {
		text = append(s.sideBySide(width), "")
	}
	for i := range p.keys {
		first := len(text)
		text = append(text, s.item(i, width)...)
		if i == s.cursor {
			s.reveal(first, len(text)-1, height-len(s.bottom(width, height)))
		}
	}
	text = append(text, s.others(width)...)
	return stacked(&s.pane, s.top(width), text, s.bottom(width, height), width, height)
}

func (s *keyChoice) top(width int) []string {
	p := s.flow
	asked := fmt.Sprintf("%s asked, %s served", count(len(p.seen.Endpoints), "endpoint"), count(len(p.keys), "key"))
	return append(styled(p.desk.theme.title, p.service()+": "+asked, width), "")
}

// inItem is before every line of a key but the first. A certificate's fingerprint
// behind it just fits 80 columns.
const inItem = "   "

// item is a key with who serves it, and what is pinned of it already.
func (s *keyChoice) item(i, width int) []string {
	p, one := s.flow, s.flow.keys[i]
	mark, pointer := "[x]", "  "
	if p.leftOut[one.spki] {
		mark = "[ ]"
	}
	if i == s.cursor {
		pointer = "> "
	}
	head := pointer + mark + " " + one.spki
	style := p.desk.theme.title
	if i == s.cursor {
		style = p.desk.theme.cursor
	}
	lines := styled(style, head, width)
	lines = append(lines, prose(inItem+s.relation(one), width)...)
	for _, leaf := range one.leaves {
		lines = append(lines, s.leaf(leaf, width)...)
	}
	return lines
}

// relation says what pinning the key changes about the pins.
func (s *keyChoice) relation(one servedKey) string {
	p := s.flow
	look := p.desk.theme
	var known []string
	for _, pin := range p.pins {
		if one.is(pin.Pin) {
			known = append(known, pin.Pin)
		}
	}
	wanted, others := one.pins(p.form), slices.Clone(known)
	others = slices.DeleteFunc(others, func(pin string) bool { return pin == one.spki || slices.Contains(wanted, pin) })
	gone := p.going()
	switch {
	case len(known) == 0 && p.keyChange():
		return look.alarm.Render("not pinned") + "; " + replaces(gone)
	case len(known) == 0:
		return "not pinned yet"
	case p.leftOut[one.spki]:
		return look.alarm.Render("pinned now") + "; left out, it will not be trusted any more"
	case len(wanted) > 0 && !slices.ContainsFunc(wanted, func(pin string) bool { return !slices.Contains(known, pin) }):
		return look.good.Render("already pinned")
	case len(others) == 0:
		return "this key is pinned now; that pin is replaced"
	default:
		return "replaces\n" + inItem + strings.Join(others, "\n"+inItem)
	}
}

// replaces says which pins nobody serves give way.
func replaces(pins []session.LivePin) string {
	if len(pins) == 1 {
		return "replaces " + pins[0].Pin
	}
	return fmt.Sprintf("replaces %d pins that no endpoint serves", len(pins))
}

// leaf is a certificate of a key and who serves it.
func (s *keyChoice) leaf(leaf servedLeaf, width int) []string {
	p := s.flow
	certificate := leaf.certificate
	issuer := "issued by " + orNone(certificate.Issuer)
	if certificate.SelfSigned {
		issuer = "self-signed"
	}
	lines := prose(inItem+orNone(certificate.Subject)+", "+issuer, width)
	ends := "expires " + expiry(certificate.NotAfter.Time, p.seen.At)
	if !certificate.NotAfter.After(p.seen.At) {
		ends = p.desk.theme.bad.Render("EXPIRED " + expiry(certificate.NotAfter.Time, p.seen.At))
	}
	lines = append(lines, prose(inItem+ends+", on "+certificate.NotAfter.UTC().Format(time.RFC3339), width)...)
	if p.form == edit.FormCertificate || p.form == edit.FormLeaf {
		lines = append(lines, prose(inItem+certificate.CertSHA256, width)...)
	}
	return append(lines, prose(inItem+strings.Join(leaf.members, ", "), width)...)
}

// others are what is not to be chosen: pins that go, endpoints without a key.
func (s *keyChoice) others(width int) []string {
	p := s.flow
	look := p.desk.theme
	var lines []string
	going := slices.DeleteFunc(p.going(), func(pin session.LivePin) bool {
		return slices.ContainsFunc(p.keys, func(one servedKey) bool { return one.is(pin.Pin) })
	})
	if len(going) > 0 && !p.keyChange() {
		lines = append(lines, "", look.alarm.Render("NO LONGER PINNED AFTERWARDS"))
		for _, pin := range going {
			lines = append(lines, prose("  - "+pin.Pin+", "+pin.State, width)...)
		}
	}
	if quiet := silent(p.seen.Endpoints); len(quiet) > 0 {
		lines = append(lines, "")
		lines = append(lines, p.unanswered(quiet, width)...)
	}
	return lines
}

// sideBySide is the old and the new, where nothing of the old is served.
func (s *keyChoice) sideBySide(width int) []string {
	p := s.flow
	look := p.desk.theme
	lines := styled(look.bad, "KEY CHANGE: no endpoint serves what is pinned now. Somebody else answers.", width)
	var old, served []string
	for _, pin := range p.pins {
		old = append(old, pin.Pin)
	}
	for _, one := range p.keys {
		pins := one.pins(p.form)
		if p.form == edit.FormCA {
			pins = []string{one.spki}
		}
		served = append(served, pins...)
	}
	const least = 30
	half := (width - 3) / 2
	if half < least {
		lines = append(lines, look.title.Render("PINNED"))
		lines = append(lines, indented(old, width)...)
		lines = append(lines, look.title.Render("SERVED"))
		return append(lines, indented(served, width)...)
	}
	left, right := indented(old, half), indented(served, half)
	lines = append(lines, columns(look.title.Render("PINNED"), look.title.Render("SERVED"), half))
	for i := range max(len(left), len(right)) {
		lines = append(lines, columns(at(left, i), at(right, i), half))
	}
	return lines
}

// indented are the texts, each beginning on a line of its own.
func indented(texts []string, width int) []string {
	var lines []string
	for _, text := range texts {
		kind, rest, _ := strings.Cut(text, ":")
		lines = append(lines, prose("  "+kind+":\n    "+rest, width)...)
	}
	return lines
}

func columns(left, right string, width int) string {
	return left + strings.Repeat(" ", max(width-ansi.StringWidth(left), 0)) + " | " + right
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return ""
}

// bottom is the form and what it means; of a low terminal only the form.
func (s *keyChoice) bottom(width, height int) []string {
	p := s.flow
	look := p.desk.theme
	var forms []string
	for _, form := range edit.Forms {
		if form == p.form {
			forms = append(forms, look.cursor.Render("["+string(form)+"]"))
			continue
		}
		forms = append(forms, " "+string(form)+" ")
	}
	choice := prose("Form: "+strings.Join(forms, " "), width)
	if s.empty {
		choice = append(styled(look.bad, "Nothing is selected: Space selects the key at the cursor.", width), choice...)
	}
	full := append([]string{""}, choice...)
	full = append(full, prose(p.meaning(), width)...)
	full = append(full, prose("This is trust on first use: whoever answers now is trusted from now on.", width)...)
	const share = 2
	if len(full) > height/share {
		return choice
	}
	return full
}

// meaning says in a line or two what the form does, and when that breaks.
func (p *pinning) meaning() string {
	var first time.Time
	for _, one := range p.chosen() {
		for _, leaf := range one.leaves {
			if end := leaf.certificate.NotAfter.Time; first.IsZero() || end.Before(first) {
				first = end
			}
		}
	}
	due := ""
	if !first.IsZero() {
		due = ", due by " + first.UTC().Format(time.DateOnly)
	}
	switch p.form {
	case edit.FormCertificate:
		return "Fingerprints of the certificates: broken by every renewal" + due + "."
	case edit.FormLeaf:
		return "The certificates themselves, in a ConfigMap: dates and names are checked too. Broken by every renewal" +
			due + "."
	case edit.FormCA:
		return "The CA that is presented, in standard fields that every implementation knows. " +
			"Broken by certificates of another CA."
	default:
		return "Public keys: they survive a renewal that keeps the key. Broken by a new key, " +
			"which many issuers make at every renewal" + due + "."
	}
}

func (s *keyChoice) keys() []key.Binding {
	return []key.Binding{keySelect, keyForm, keyGoOn, keyBack}
}

func (s *keyChoice) typing() bool { return false }

// expiry is the end of a validity seen from now: in 364d, or 3d ago.
func expiry(notAfter, now time.Time) string {
	if left := notAfter.Sub(now); left >= 0 {
		return "in " + duration.HumanDuration(left)
	}
	return duration.HumanDuration(now.Sub(notAfter)) + " ago"
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}
