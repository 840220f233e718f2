package session

import (
	"context"
	"fmt"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/view"
)

// UnpinRequest is which pins go.
type UnpinRequest struct {
	// Pins are removed; none for all of them, back to spec.validation.
	Pins []pin.Pin
	// ServerName is sent to the endpoints; "" for what Envoy sends.
	ServerName string
	// AllTargets admits a policy with more than one target.
	AllTargets bool
	// Unasked says that the endpoints are not asked whether they would pass.
	Unasked bool
}

// ParsePins reads pins as people type them.
func ParsePins(texts []string) ([]pin.Pin, error) {
	pins := make([]pin.Pin, len(texts))
	for i, text := range texts {
		parsed, err := pin.Parse(text)
		if err != nil {
			return nil, err
		}
		pins[i] = parsed
	}
	return pins, nil
}

// Unpin drafts that pins go.
func (d *Drafter) Unpin(ctx context.Context, reference target.Reference, request UnpinRequest) (*Plan, error) {
	s, err := d.subject(reference)
	if err != nil {
		return nil, err
	}
	if s.policy == nil {
		return nil, fmt.Errorf("%s has no policy, and so no pins", service(s.port))
	}
	if err := s.readable(); err != nil {
		return nil, err
	}
	if err := s.single(request.AllTargets); err != nil {
		return nil, err
	}
	p, err := d.plan(s, edit.Create{})
	if err != nil {
		return nil, err
	}
	if p.edit, err = edit.Unpin(p.policy, request.Pins); err != nil {
		return nil, err
	}
	if err := p.preview(ctx); err != nil {
		return nil, err
	}
	say, err := p.foresee(ctx, request)
	if err != nil {
		return nil, err
	}
	p.tell = func(shown *view.Change) error {
		if err := p.changed(shown); err != nil {
			return err
		}
		say(shown)
		return nil
	}
	p.done = "unpinned"
	p.confirmation = Confirmation{Question: "Write " + p.Written() + "?"}
	return p, nil
}

// foresee finds whether the endpoints would pass the changed policy. It forbids
// nothing: going back to a CA may be the first step of getting there.
func (p *Plan) foresee(ctx context.Context, request UnpinRequest) (say func(*view.Change), err error) {
	if next, found := p.next.Port(p.ports[0].Key()); found && unseen(next.Strict) {
		return func(shown *view.Change) {
			shown.Say("Whether the endpoints would pass the changed policy cannot be foretold: %s", p.plain(next.Strict.Fault))
		}, nil
	}
	if _, fault := p.enforced(p.ports[0]); fault != "" {
		return func(shown *view.Change) {
			shown.Say("The changed policy would be refused, and every request answered 500: %s", fault)
		}, nil
	}
	if request.Unasked {
		return func(*view.Change) {}, nil
	}
	asked, err := p.drafter.Ask(ctx, p.ports, request.ServerName)
	if err != nil {
		return nil, err
	}
	return p.foretell(&asked).sayOfUnpin, nil
}

// sayOfUnpin says how the endpoints would fare without the pins.
func (out outlook) sayOfUnpin(shown *view.Change) {
	switch {
	case out.asked == 0:
		shown.Say("There is no endpoint to ask whether it would pass the changed policy.")
	case len(out.failing) == 0:
		shown.Say("Every endpoint would pass the changed policy now (%s asked).", endpoints(out.asked))
	default:
		shown.Say("%d of %s would not pass the changed policy now:", len(out.failing), endpoints(out.asked))
		for _, line := range out.failing {
			shown.Item(line)
		}
	}
}
