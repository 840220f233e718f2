package session

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/backendtls/backendtls/internal/gwapi"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
)

// errReadOnly refuses every change.
var errReadOnly = errors.New("--read-only: nothing is changed")

// Pin drafts that the policy trusts what was shown to be served. It is read, and
// the endpoints are asked, again: what is not any more as it was shown is refused
// with an edit.ErrChanged.
func (s *Session) Pin(ctx context.Context, ask PinAsk) (Draft, error) {
	if err := edit.CheckForm(ask.Form); err != nil {
		return nil, err
	}
	d, reference, err := s.drafter(ctx, ask.Service, false)
	if err != nil {
		return nil, err
	}
	return drafted(d.Pin(ctx, reference, PinRequest{Form: ask.Form, Keys: ask.Keys, Seen: &ask.Seen}))
}

// Unpin drafts that these pins go, or without any all of them.
func (s *Session) Unpin(ctx context.Context, port cliv1alpha1.PortReference, pins []string) (Draft, error) {
	drop, err := ParsePins(pins)
	if err != nil {
		return nil, err
	}
	d, reference, err := s.drafter(ctx, port, false)
	if err != nil {
		return nil, err
	}
	return drafted(d.Unpin(ctx, reference, UnpinRequest{Pins: drop}))
}

// SkipOn drafts that an insecure mode is asked for, from now on.
func (s *Session) SkipOn(ctx context.Context, ask SkipAsk) (Draft, error) {
	mode, err := ModeOf(ask.Only)
	if err != nil {
		return nil, err
	}
	if err := CheckFor(ask.For); err != nil {
		return nil, err
	}
	d, reference, err := s.drafter(ctx, ask.Service, true)
	if err != nil {
		return nil, err
	}
	return drafted(d.SkipOn(ctx, reference, SkipRequest{Mode: mode, For: ask.For, Reason: ask.Reason}))
}

// SkipOff drafts that any insecure mode ends at once.
func (s *Session) SkipOff(ctx context.Context, port cliv1alpha1.PortReference) (Draft, error) {
	again := func(ctx context.Context) (*Plan, error) {
		d, reference, err := s.drafter(ctx, port, false)
		if err != nil {
			return nil, err
		}
		return d.SkipOff(ctx, reference)
	}
	plan, err := again(ctx)
	if err != nil {
		return nil, err
	}
	return &closing{Plan: plan, again: again}, nil
}

// drafter reads what there is now.
func (s *Session) drafter(
	ctx context.Context, port cliv1alpha1.PortReference, roots bool,
) (*Drafter, target.Reference, error) {
	reference := referenceTo(port)
	if s.config.ReadOnly {
		return nil, reference, errReadOnly
	}
	world, err := s.read(ctx, reading{Namespace: port.Namespace, roots: roots})
	if err != nil {
		return nil, reference, err
	}
	return s.drafterOf(world, port.Namespace), reference, nil
}

// drafterOf drafts changes of a World.
func (s *Session) drafterOf(world *collect.World, namespace string) *Drafter {
	return &Drafter{
		World: world, Namespace: namespace, Program: s.config.Program, Cluster: s.config.Cluster, Ask: s.answer,
	}
}

func referenceTo(port cliv1alpha1.PortReference) target.Reference {
	return target.Reference{Kind: gwapi.KindService, Name: port.Name, Port: strconv.Itoa(int(port.Port))}
}

// answer asks endpoints for a Drafter.
func (s *Session) answer(ctx context.Context, ports []collect.Port, serverName string) (Asked, error) {
	asked := Asked{Ports: ports, ServerName: ServerName, Via: s.config.Via}
	if serverName != "" {
		asked.ServerName = func(collect.Port) string { return serverName }
	}
	var err error
	asked.Observations, err = s.observe(ctx, ports, asked.ServerName, nil)
	return asked, err
}

// drafted hands a plan out. What a verb shows above an error is part of the error
// here.
func drafted(plan *Plan, err error) (Draft, error) {
	if several, is := errors.AsType[*SeveralTargetsError](err); is {
		return nil, fmt.Errorf("%s\n%w", several.Above(), err)
	}
	if err != nil {
		return nil, err
	}
	return plan, nil
}

// attempts bounds how often ending a mode starts again because somebody changed
// the policy meanwhile.
const attempts = 3

// closing is a change that only ever tightens. It must not fail because of what
// somebody else is doing: it looks again. What it says of itself stays what was
// shown.
type closing struct {
	*Plan

	again func(context.Context) (*Plan, error)
	// written is what Commit made in the end; nil for nothing.
	written *Plan
}

// Commit ends the mode, of the policy as it is by then.
func (c *closing) Commit(ctx context.Context) error {
	plan := c.Plan
	for attempt := 1; ; attempt++ {
		err := plan.Commit(ctx)
		if err == nil {
			c.written = plan
		}
		if !errors.Is(err, edit.ErrChanged) || attempt == attempts {
			return err
		}
		fresh, failed := c.again(ctx)
		switch {
		case errors.Is(failed, ErrNoMode):
			return nil
		case failed != nil:
			return failed
		}
		plan = fresh
	}
}

// Acknowledged follows what was written.
func (c *closing) Acknowledged(ctx context.Context, tell func(text string)) error {
	if c.written == nil {
		tell(fmt.Sprintf("btlspolicy/%s has no mode any more: somebody else has ended it", c.Policy()))
		return nil
	}
	return c.written.Acknowledged(ctx, tell)
}
