package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// mode is an insecure mode that is in force for a Service.
type mode struct {
	service string
	// label says what is not verified; weight is 0 where that is everything.
	label  string
	weight int
	// until is zero for a mode without an end.
	until time.Time
}

// modes are those in force on paths, the worst and the longest first.
func (d *desk) modes(paths []cliv1alpha1.Path) []mode {
	var list []mode
	for _, path := range paths {
		if path.Policy == nil || path.Policy.Mode.State != "Active" {
			continue
		}
		m := mode{service: d.name(path.Service)}
		m.label, m.weight = weakness(path.Policy.Mode.Enforced)
		if path.Policy.Mode.Until != nil {
			m.until = path.Policy.Mode.Until.Time
		}
		list = append(list, m)
	}
	slices.SortStableFunc(list, func(a, b mode) int {
		return cmp.Or(cmp.Compare(a.weight, b.weight), b.end().Compare(a.end()), cmp.Compare(a.service, b.service))
	})
	// Of the ports of a Service the one counts whose mode lasts longest.
	kept := list[:0]
	for _, m := range list {
		if !slices.ContainsFunc(kept, func(k mode) bool { return k.label == m.label && k.service == m.service }) {
			kept = append(kept, m)
		}
	}
	return kept
}

// weakness is what a mode does not verify, and how bad that is.
func weakness(enforced string) (label string, weight int) {
	switch model.Mode(enforced) {
	case model.InsecureSkipOnlySANVerification:
		return "NAMES NOT VERIFIED", 1
	case model.InsecureAllowExpired:
		return "DATES NOT VERIFIED", 2
	default:
		return "VERIFICATION OFF", 0
	}
}

// name is svc/NAME, with the namespace where more than one is shown.
func (d *desk) name(port cliv1alpha1.PortReference) string {
	if d.scope.All || port.Namespace != d.scope.Namespace {
		return "svc/" + port.Namespace + "/" + port.Name
	}
	return "svc/" + port.Name
}

// portName is svc/NAME:PORT, with the namespace where more than one is shown.
func (d *desk) portName(port cliv1alpha1.PortReference) string {
	return fmt.Sprintf("%s:%d", d.name(port), port.Port)
}

// left says how long a mode lasts, as a clock shows it, and that word.
func (m mode) left(now time.Time, word string) string {
	if m.until.IsZero() {
		return "no end"
	}
	return clock(m.until.Sub(now)) + word
}

// end is when it ends, far away where it does not.
func (m mode) end() time.Time {
	if m.until.IsZero() {
		return time.Unix(1<<40, 0)
	}
	return m.until
}

// clock is a duration as HH:MM:SS, rounded up so that it shows 00:00:00 at the
// very end only.
func clock(left time.Duration) string {
	whole := seconds(left)
	return fmt.Sprintf("%02d:%02d:%02d", whole/3600, whole/60%60, whole%60)
}

// banner says which modes are in force, in one line of that width: as many as
// fit, and how many more there are. It is "" without any.
func (d *desk) banner(width int) string {
	modes := d.active
	if len(modes) == 0 {
		return ""
	}
	style := d.theme.weaker
	if modes[0].weight == 0 {
		style = d.theme.banner
	}
	text := listed(modes, d.clock, width-2)
	return style.Render(fit(" "+text, width))
}

// listed is as many modes as fit, shorter where not even one does.
func listed(modes []mode, now time.Time, width int) string {
	text := ""
	for i := range modes {
		longer := sentence(modes[:i+1], now, ", ", " left")
		if ansi.StringWidth(longer) > width {
			break
		}
		if rest := len(modes) - i - 1; rest > 0 {
			longer += fmt.Sprintf("; +%d more", rest)
		}
		if ansi.StringWidth(longer) <= width {
			text = longer
		}
	}
	if text != "" {
		return text
	}
	text = sentence(modes[:1], now, " ", "")
	if rest := len(modes) - 1; rest > 0 {
		text += fmt.Sprintf(" +%d", rest)
	}
	return text
}

// sentence lists modes, each label once.
func sentence(modes []mode, now time.Time, before, after string) string {
	var text strings.Builder
	label := ""
	for i, m := range modes {
		if i > 0 {
			text.WriteString("; ")
		}
		if m.label != label {
			text.WriteString(m.label + ": ")
		}
		label = m.label
		text.WriteString(m.service + before + m.left(now, after))
	}
	return text.String()
}
