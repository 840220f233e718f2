package tui

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/view"
)

// The columns of the list.
const (
	columnNamespace = iota
	columnService
	columnGateway
	columnRoute
	columnPolicy
	columnMode
	columnLeft
	columnVerdict
	columnExpires
	columnReason
)

var listColumns = []column{
	columnNamespace: {title: "NAMESPACE", least: 9, spare: 7},
	columnService:   {title: "SERVICE", least: 14},
	columnGateway:   {title: "GATEWAY", least: 11, spare: 5},
	columnRoute:     {title: "ROUTE", least: 13, spare: 2},
	columnPolicy:    {title: "POLICY", least: 8, spare: 3},
	columnMode:      {title: "MODE", spare: 6},
	columnLeft:      {title: "LEFT", reserve: len("00:00:00"), spare: 8},
	columnVerdict:   {title: "VERDICT", least: 10},
	columnExpires:   {title: "EXPIRES", spare: 4},
	columnReason:    {title: "REASON", least: 12, spare: 1},
}

// nothing stands for what there is not.
const nothing = "-"

// cells are the row of a path.
func (d *desk) cells(path cliv1alpha1.Path) []cell {
	said := view.CellsOf(path, d.clock)
	left := said.Left
	if m, ok := modeOf(path); ok {
		left = "no end"
		if !m.until.IsZero() {
			left = clock(m.until.Sub(d.clock))
		}
	}
	texts := []string{
		path.Service.Namespace, said.Service, said.Gateway, said.Route, said.Policy, said.Mode, left,
		said.Verdict, said.Expires, cmp.Or(path.Verdict.Reason, view.None),
	}
	row := make([]cell, len(texts))
	for i, text := range texts {
		if text == view.None {
			text = nothing
		}
		row[i] = cell{text: text}
	}
	row[columnMode].brief = briefMode(row[columnMode].text)
	for _, i := range []int{columnService, columnGateway, columnRoute} {
		_, name, _ := strings.Cut(row[i].text, "/")
		row[i].brief = name
	}
	return row
}

// briefMode names what is skipped, as --only does.
func briefMode(mode string) string {
	switch model.Mode(mode) {
	case model.InsecureSkipVerification:
		return "skip all"
	case model.InsecureSkipOnlySANVerification:
		return "skip name"
	case model.InsecureAllowExpired:
		return "skip expiry"
	case model.Standard:
		return "standard"
	default:
		return ""
	}
}

// modeOf is the insecure mode that is in force on a path.
func modeOf(path cliv1alpha1.Path) (mode, bool) {
	if path.Policy == nil || path.Policy.Mode.State != "Active" {
		return mode{}, false
	}
	var m mode
	m.label, m.weight = weakness(path.Policy.Mode.Enforced)
	if path.Policy.Mode.Until != nil {
		m.until = path.Policy.Mode.Until.Time
	}
	return m, true
}

// paint is how a column of a path looks.
func (d *desk) paint(path cliv1alpha1.Path) func(int, string) string {
	return func(column int, text string) string {
		switch column {
		case columnVerdict:
			return d.theme.verdict(path).Render(text)
		case columnMode, columnLeft:
			if m, ok := modeOf(path); ok {
				if m.weight == 0 {
					return d.theme.bad.Render(text)
				}
				return d.theme.alarm.Render(text)
			}
		}
		return text
	}
}

// verdict is how a verdict looks.
func (t theme) verdict(path cliv1alpha1.Path) lipgloss.Style {
	switch {
	case path.ListenerFault != "":
		return t.bad
	case path.Verdict.Result == assess.Passes && path.Verdict.Strict != "" && path.Verdict.Strict != assess.Passes:
		return t.alarm
	case path.Verdict.Result == assess.Passes, path.Verdict.Result == assess.Passthrough:
		return t.good
	case path.Verdict.Result == assess.Unreachable && path.Verdict.Status == 0:
		return t.alarm // Envoy may reach it all the same.
	}
	switch path.Verdict.Result {
	case assess.NotProbed, assess.Plaintext, assess.Foreign, assess.Unseen:
		return t.alarm
	default:
		return t.bad
	}
}

// matches says whether every word, in small letters, is in what a row says.
func matches(path cliv1alpha1.Path, row []cell, words []string) bool {
	if len(words) == 0 {
		return true
	}
	var text strings.Builder
	for _, c := range row {
		text.WriteString(c.text + " " + c.brief + " ")
	}
	text.WriteString(path.Verdict.Reason + " " + path.Listener + " " + strings.Join(path.Hostnames, " "))
	all := strings.ToLower(text.String())
	return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(all, word) })
}

// ago is an age in words.
func ago(age time.Duration) string { return duration.HumanDuration(max(0, age)) + " ago" }
