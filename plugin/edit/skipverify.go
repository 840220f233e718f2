package edit

import (
	"fmt"
	"strings"
	"time"
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

// On is the edit that asks for the mode. Whether a Gateway allows it is
// decided by building with the edit applied, not here.
func (s SkipVerify) On() (Edit, error) {
	if !s.Mode.Insecure() {
		return Edit{}, fmt.Errorf("mode %q weakens nothing", s.Mode)
	}
	if s.For < time.Second {
		return Edit{}, fmt.Errorf("--for %s: must be at least a second, such as 2h or 30m", s.For)
	}
	reason := strings.TrimSpace(s.Reason)
	if length := utf8.RuneCountInString(reason); length > maxReason {
		return Edit{}, fmt.Errorf("--reason has %d characters, at most %d are kept", length, maxReason)
	}
	// Seconds are what RFC 3339 shows; rounding since down keeps the mode from
	// starting in the future of a clock that is a little behind.
	since := s.Since.UTC().Truncate(time.Second)
	var e Edit
	e.set(OptionMode, string(s.Mode))
	e.set(OptionSince, since.Format(time.RFC3339))
	e.set(OptionUntil, since.Add(s.For.Truncate(time.Second)).Format(time.RFC3339))
	if reason == "" {
		e.remove(OptionReason)
	} else {
		e.set(OptionReason, reason)
	}
	return e, nil
}

// SkipVerifyOff is the edit that ends any mode at once.
func SkipVerifyOff() Edit {
	var e Edit
	e.remove(OptionMode, OptionSince, OptionUntil, OptionReason)
	return e
}
