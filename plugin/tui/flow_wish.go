package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/plugin/session"
)

// wish is what a person chooses and types about skip-verify, within what is
// allowed.
type wish struct {
	// kinds are what may be skipped; kind is the one that is chosen.
	kinds []skipped
	kind  int
	// presets are durations to choose from; length is the one that is chosen, or
	// len(presets) for the one that is typed.
	presets []time.Duration
	length  int
	typed   entry
	reason  entry
	// longest is the longest duration, 0 for unlimited; shortest names who says so.
	longest      time.Duration
	by           string
	reasonNeeded bool
}

// The lengths of what is typed. That of the reason is mode-reason's.
const (
	longestLength = 16
	longestReason = 256
)

func newWish() wish {
	return wish{typed: newEntry(longestLength), reason: newEntry(longestReason)}
}

// usual are the durations that are offered.
var usual = []time.Duration{15 * time.Minute, time.Hour, 2 * time.Hour, 8 * time.Hour}

// limit takes what the Gateways allow. What was chosen before stays chosen, as
// far as it still can be.
func (w *wish) limit(allowances []session.Allowance) {
	chosen, _ := w.duration()
	only := ""
	if w.kind < len(w.kinds) {
		only = w.kinds[w.kind].mode
	}
	modes := allowed(allowances)
	w.kinds = slices.DeleteFunc(slices.Clone(skippable), func(each skipped) bool {
		return !slices.Contains(modes, each.mode)
	})
	w.kind = max(slices.IndexFunc(w.kinds, func(each skipped) bool { return each.mode == only }), 0)
	w.longest, w.by, w.reasonNeeded = 0, "", false
	for _, allowance := range allowances {
		w.reasonNeeded = w.reasonNeeded || allowance.ReasonNeeded
		if allowance.Longest > 0 && (w.longest == 0 || allowance.Longest < w.longest) {
			w.longest, w.by = allowance.Longest, "gateway/"+allowance.Gateway.Name
		}
	}
	typed := w.length == len(w.presets) && w.typed.value() != ""
	w.presets = slices.DeleteFunc(slices.Clone(usual), func(each time.Duration) bool {
		return w.longest > 0 && each > w.longest
	})
	if w.longest > 0 && w.longest < usual[len(usual)-1] && !slices.Contains(w.presets, w.longest) {
		w.presets = append(w.presets, w.longest)
	}
	switch i := slices.Index(w.presets, chosen); {
	case typed:
		w.length = len(w.presets)
	case i >= 0:
		w.length = i
	default:
		w.length = 0
	}
}

// only is what `--only` would say.
func (w *wish) only() string {
	if len(w.kinds) == 0 {
		return ""
	}
	return w.kinds[w.kind].only
}

// duration is how long; the error says what is wrong with what was typed.
func (w *wish) duration() (time.Duration, error) {
	if w.length < len(w.presets) {
		return w.presets[w.length], nil
	}
	text := strings.ReplaceAll(w.typed.value(), " ", "")
	length, err := time.ParseDuration(text)
	switch {
	case text == "":
		return 0, fmt.Errorf("how long? type a duration such as 45m or 3h")
	case err != nil:
		return 0, fmt.Errorf("%q is no duration: want such as 45m, 3h or 1h30m", text)
	case length < time.Second:
		return 0, fmt.Errorf("%s is too short: want at least a second", text)
	case w.longest > 0 && length > w.longest:
		return 0, fmt.Errorf("%s is too long: %s allows at most %s", text, w.by, session.Brief(w.longest))
	default:
		return length, nil
	}
}

// fault says what is missing or wrong; length is how long it is to be.
func (w *wish) fault() (length time.Duration, field int, err error) {
	length, err = w.duration()
	switch {
	case err != nil:
		return 0, fieldLength, err
	case w.reasonNeeded && w.reason.value() == "":
		return 0, fieldReason, fmt.Errorf("a reason is needed: it is shown in status, Events and audits")
	default:
		return length, 0, nil
	}
}
