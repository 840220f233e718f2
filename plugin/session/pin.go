package session

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
)

// PinRequest is what to pin, and under which conditions.
type PinRequest struct {
	Naming

	Form edit.Form
	// Next are keys to trust before any endpoint serves them.
	Next []edit.Next
	// ServerName is sent to the endpoints; "" for what Envoy sends.
	ServerName string
	// AllTargets admits a policy with more than one target, AllowUnattached a port
	// that no Gateway of ours leads to.
	AllTargets, AllowUnattached bool
	// Keys limits it to the endpoints that serve one of these keys, in the form
	// spki-sha256:BASE64; nil for all.
	Keys []string
	// Seen is what a person was shown, and nothing else is pinned; nil where what is
	// asked now is what is shown.
	Seen *Fetched
}

// pinDraft is a change that pins, while it is drafted.
type pinDraft struct {
	*Drafter
	*subject

	request PinRequest
	plan    *Plan
	seen    *answers
	// live are those of the endpoints whose keys are pinned.
	live    []edit.Live
	pinning edit.Pinning
	faults  []string
}

// Pin drafts that the policy trusts exactly what the endpoints serve now.
func (d *Drafter) Pin(ctx context.Context, reference target.Reference, request PinRequest) (*Plan, error) {
	s, err := d.subject(reference)
	if err != nil {
		return nil, err
	}
	p := &pinDraft{Drafter: d, subject: s, request: request}
	for _, step := range []func(context.Context) error{p.admit, p.start, p.choose, p.decide} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	p.plan.tell = p.show
	p.plan.confirmation, p.plan.done = p.confirmation(), "pinned"
	return p.plan, nil
}

// admit refuses before any endpoint is asked.
func (p *pinDraft) admit(context.Context) error {
	checks := []func() error{
		func() error { return p.request.check(p.subject) },
		p.readable,
		p.counted,
		func() error { return p.single(p.request.AllTargets) },
	}
	if p.request.Form != edit.FormCA {
		checks = append(checks, p.charted, func() error { return p.attached(p.request.AllowUnattached) })
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// start asks the endpoints, and begins the change of the policy that decides,
// or a new one.
func (p *pinDraft) start(ctx context.Context) error {
	serverName := p.request.ServerName
	if serverName == "" {
		serverName = p.request.Hostname
	}
	var err error
	if p.seen, err = p.fetch(ctx, p.ports, serverName); err != nil {
		return err
	}
	create := edit.Create{
		Name: p.request.PolicyName, Hostname: p.request.Hostname, Live: p.seen.live, WellKnown: edit.PinnedOnly,
	}
	if p.request.Form == edit.FormCA {
		create.WellKnown = ""
	}
	p.plan, err = p.Drafter.plan(p.subject, create)
	if err != nil || !p.plan.created || p.request.ServerName != "" {
		return err
	}
	// Envoy will send the hostname of the policy: what counts is what the
	// endpoints serve for that name.
	if hostname := string(p.plan.policy.Spec.Validation.Hostname); hostname != p.seen.ServerName(p.port) {
		p.seen, err = p.fetch(ctx, p.ports, hostname)
	}
	return err
}

// choose finds what of the answers is pinned.
func (p *pinDraft) choose(context.Context) error {
	p.live = p.seen.live
	if p.request.Seen != nil {
		if err := p.seen.sameAs(p.request.Seen); err != nil {
			return err
		}
	}
	if p.request.Keys == nil {
		return nil
	}
	served := func(key string) func(edit.Live) bool {
		return func(one edit.Live) bool { return edit.PinOf(edit.FormSPKI, one.Chain[0]).String() == key }
	}
	for _, key := range p.request.Keys {
		if !slices.ContainsFunc(p.live, served(key)) {
			return fmt.Errorf("nothing was written: no endpoint of %s serves %s any more: %w",
				service(p.port), key, ErrServedChanged)
		}
	}
	p.live = slices.DeleteFunc(slices.Clone(p.live), func(one edit.Live) bool {
		return !slices.Contains(p.request.Keys, edit.PinOf(edit.FormSPKI, one.Chain[0]).String())
	})
	if len(p.live) == 0 {
		return errors.New("no key is chosen: choose one at least")
	}
	return nil
}

// decide makes the change where nobody sees it, and refuses what would not work.
func (p *pinDraft) decide(ctx context.Context) error {
	request := edit.Request{
		Form: p.request.Form, Live: p.live, Next: p.request.Next, Current: p.current(), Now: p.world.Snapshot.Now,
	}
	var err error
	if request.Form == edit.FormLeaf || request.Form == edit.FormCA {
		if request.ConfigMap, err = p.bundle(ctx); err != nil {
			return err
		}
	}
	if p.pinning, err = edit.Pin(p.plan.policy, request); err != nil {
		return err
	}
	p.plan.edit, p.plan.configMap = p.pinning.Edit, p.pinning.ConfigMap
	if err := p.plan.preview(ctx); err != nil {
		return err
	}
	p.faults, err = p.plan.judge()
	return err
}

// confirmation is a name to type for a key change, which must not happen by a
// habitual y.
func (p *pinDraft) confirmation() Confirmation {
	confirmation := Confirmation{Question: "Write " + p.plan.Written() + "?"}
	switch {
	case !p.pinning.KeyChange:
	case p.current().Differs(p.seen.live):
		confirmation.Type = p.plan.Policy()
		confirmation.Why = "this is a key change: no endpoint serves what is pinned"
	default:
		confirmation.Type = p.plan.Policy()
		confirmation.Why = "this is a key change: what is pinned is served, and not among what is chosen"
	}
	return confirmation
}

// current is what the policy pins now.
func (s *subject) current() edit.Current {
	if s.policy == nil {
		return edit.Current{}
	}
	for _, port := range s.ports {
		if decision := port.Strict.Policy; decision != nil && decision.Written != nil {
			return edit.CurrentOf(s.policy, decision.Written.Leaves, false)
		}
	}
	return edit.CurrentOf(s.policy, nil, true)
}

// bundle is the live ConfigMap of the name that the draft may write, nil if there
// is none. Of a cluster the World holds only those that something refers to.
func (p *pinDraft) bundle(ctx context.Context) (*corev1.ConfigMap, error) {
	if !p.world.Live() {
		return p.configMap(p.plan)
	}
	name := edit.ConfigMapName(p.plan.policy.Name)
	return p.liveConfigMap(ctx, gwapi.KeyOf(gwapi.KindConfigMap, p.plan.policy.Namespace, name))
}

// configMap is the ConfigMap of the name that the plan may write, as far as the
// World has it; nil if there is none.
func (s *subject) configMap(p *Plan) (*corev1.ConfigMap, error) {
	key := gwapi.KeyOf(gwapi.KindConfigMap, p.policy.Namespace, edit.ConfigMapName(p.policy.Name))
	if fault, broken := s.world.Snapshot.Faults[key]; broken {
		return nil, fmt.Errorf("configmap/%s cannot be changed before it is repaired: %s", key.Name, fault)
	}
	live, _ := s.world.Snapshot.ConfigMaps.Get(key.NamespacedName())
	return live, nil
}
