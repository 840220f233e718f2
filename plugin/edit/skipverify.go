package edit

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backendtls/backendtls/internal/model"
)

// maxReason is the length of mode-reason, in characters.
const maxReason = 256

// SkipVerify is a request to weaken verification for a time.
type SkipVerify struct {
	Mode   model.Mode
	Since  time.Time
	For    time.Duration
	Reason string
}

// Until is when the mode ends.
func (s SkipVerify) Until() time.Time { return s.since().Add(s.For.Truncate(time.Second)) }

// since is rounded down to the second, which is what RFC 3339 shows: the mode
// must not start in the future, and its length, which is what a Gateway bounds,
// must be just what was asked for.
func (s SkipVerify) since() time.Time { return s.Since.UTC().Truncate(time.Second) }

// On is the edit that asks for the mode. Whether a Gateway allows it is
// decided by building with the edit applied, not here.
func (s SkipVerify) On() (Edit, error) {
	if !s.Mode.Insecure() {
		return Edit{}, fmt.Errorf("mode %q weakens nothing", s.Mode)
	}
	if s.For < time.Second {
		return Edit{}, fmt.Errorf("--for is %s: want at least a second, such as 2h or 30m", s.For)
	}
	reason := strings.TrimSpace(s.Reason)
	switch length := utf8.RuneCountInString(reason); {
	case length > maxReason:
		return Edit{}, fmt.Errorf("--reason has %d characters: want at most %d", length, maxReason)
	case !utf8.ValidString(reason) || strings.ContainsFunc(reason, unprintable):
		return Edit{}, errors.New("--reason has a line break, a control character or what is no text: want one line")
	}
	var e Edit
	e.set(OptionMode, string(s.Mode))
	e.set(OptionSince, s.since().Format(time.RFC3339))
	e.set(OptionUntil, s.Until().Format(time.RFC3339))
	if reason == "" {
		e.remove(OptionReason)
	} else {
		e.set(OptionReason, reason)
	}
	return e, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// SkipVerifyOff is the edit that ends any mode at once.
func SkipVerifyOff() Edit {
	var e Edit
	e.remove(OptionMode, OptionSince, OptionUntil, OptionReason)
	return e
}
