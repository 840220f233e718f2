package tui

import (
	"context"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// Service is what the screens ask; *session.Session is one. Every method that
// waits ends with its context. Errors are refusals and faults for people, of
// several lines where they show what to do instead.
type Service interface {
	// Watch sends a State as soon as one is known and whenever what it shows has
	// changed, only ever the newest one, until ctx ends; then it closes the channel.
	Watch(ctx context.Context, scope session.Scope) <-chan session.State
	// Fetch asks the endpoints of a port for what they serve.
	Fetch(ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress) (session.Fetched, error)
	// Verify asks them, and judges by the policy as it is enforced and as written.
	Verify(ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress) (session.Probed, error)
	// Forbidden says why the action is not to be offered for the port, "" if it is:
	// read-only, rights that lack, or nothing to do it to. It answers from what is
	// known and never waits.
	Forbidden(action session.Action, port cliv1alpha1.PortReference) string
	// Pins are the pins of the policy that decides, judged by what was fetched.
	Pins(port cliv1alpha1.PortReference, seen session.Fetched) []session.LivePin
	// Allowances are what every Gateway that reaches the port allows.
	Allowances(port cliv1alpha1.PortReference) []session.Allowance
	// The drafts of changes. What a verb would refuse is refused here in the same
	// words.
	Pin(ctx context.Context, ask session.PinAsk) (session.Draft, error)
	Unpin(ctx context.Context, port cliv1alpha1.PortReference, pins []string) (session.Draft, error)
	SkipOn(ctx context.Context, ask session.SkipAsk) (session.Draft, error)
	SkipOff(ctx context.Context, port cliv1alpha1.PortReference) (session.Draft, error)
	// Manifest is the YAML of the policy that decides about the port, or of the one
	// that `pin` would make; what y copies.
	Manifest(port cliv1alpha1.PortReference) (string, error)
}
