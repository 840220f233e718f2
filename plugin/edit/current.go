package edit

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/pin"
)

// Current is what a policy pins before it is changed.
type Current struct {
	// Pins are the leaves that it trusts, or would trust without its mode.
	Pins []pin.Pin
	// Unread says that it pins something that could not be read: nobody can say
	// that an endpoint matches that.
	Unread bool
}

// CurrentOf is what the policy pins: the leaves of what is enforced of it, or,
// where it is refused, the pins that it names. Enforced is nil for a policy
// that is refused.
func CurrentOf(policy *gatewayv1.BackendTLSPolicy, enforced []pin.Pin, refused bool) Current {
	if !refused {
		return Current{Pins: enforced}
	}
	current := Current{Unread: len(elements(policy, OptionCertificates)) > 0}
	for _, text := range elements(policy, OptionPins) {
		parsed, err := pin.Parse(text)
		if err != nil {
			current.Unread = true
			continue
		}
		current.Pins = append(current.Pins, parsed)
	}
	return current
}

// Listed are the pins that the policy names, in its order, those left out that
// cannot be read.
func Listed(policy *gatewayv1.BackendTLSPolicy) []pin.Pin {
	var list []pin.Pin
	for _, text := range elements(policy, OptionPins) {
		if parsed, err := pin.Parse(text); err == nil {
			list = append(list, parsed)
		}
	}
	return list
}

// Differs says whether something is pinned and none of the endpoints is known
// to match it.
func (c Current) Differs(live []Live) bool {
	if len(c.Pins) == 0 {
		return c.Unread
	}
	return !slices.ContainsFunc(live, func(one Live) bool {
		return slices.ContainsFunc(c.Pins, func(known pin.Pin) bool { return known.Matches(one.Chain[0]) })
	})
}

// Unread is how the policy names what it pins, for people.
func Unread(policy *gatewayv1.BackendTLSPolicy) string {
	return strings.Join(append(elements(policy, OptionPins), elements(policy, OptionCertificates)...), " ")
}
