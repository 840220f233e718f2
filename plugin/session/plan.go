package session

import (
	"context"
	"io"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// Plan is the Draft of a Drafter.
type Plan struct {
	drafter *Drafter
	world   *collect.World
	// service is the port that was named; ports are those that the change is
	// about.
	service collect.Port
	ports   []collect.Port
	// policy is as it is now, or, where created, what to start from.
	policy  *gatewayv1.BackendTLSPolicy
	created bool
	// closing says that the change only ever tightens: nothing else that is
	// wrong with the policy may stand in its way.
	closing bool
	edit    edit.Edit
	// configMap is to be written with the policy; nil for none.
	configMap *corev1.ConfigMap

	// after, medium and next are what preview makes of it.
	after  *gatewayv1.BackendTLSPolicy
	medium medium
	next   *collect.World
	// unknown says what cannot be foretold, for lack of rights.
	unknown []string

	// manifest is the outcome as YAML; difference is what is changed in it.
	manifest, difference string
	// tell says in the middle of Show what is peculiar to the kind of change.
	tell         func(*view.Change) error
	confirmation Confirmation
	// done is what to say of the policy afterwards: "pinned".
	done string
}

var _ Draft = (*Plan)(nil)

// medium is where a change is made: in files or in a cluster.
type medium interface {
	// stage prepares the change without making it, and is the World as it would
	// be. An error says why the change cannot be made.
	stage(ctx context.Context, p *Plan) (*collect.World, error)
	// changes says whether anything would be written.
	changes() bool
	// written names what is written, as a person finds it; policyAt and
	// configMapAt say where these two are.
	written() string
	policyAt() string
	configMapAt() string
	// caution says what else there is to know before the answer.
	caution(p *Plan, shown *view.Change) error
	// write makes the change.
	write(ctx context.Context, p *Plan) error
	// text is the document of an object as it stands there after the change, ""
	// where there is none of its own.
	text(p *Plan, key gwapi.Key) string
	// difference is the change as a unified diff.
	difference(p *Plan) (string, error)
}

// preview makes the change where nobody sees it, and lets the operator's own
// Build decide about the outcome.
func (p *Plan) preview(ctx context.Context) error {
	p.after = p.edit.Apply(p.policy)
	p.medium = &onDisk{world: p.world}
	if p.world.Live() {
		client, err := p.drafter.Cluster.Client()
		if err != nil {
			return err
		}
		p.medium = &onServer{server: edit.Server{Client: client}, local: p.drafter.Local}
	}
	var err error
	if p.next, err = p.medium.stage(ctx, p); err != nil {
		return err
	}
	if p.manifest, err = p.render(); err != nil {
		return err
	}
	p.difference, err = p.medium.difference(p)
	return err
}

// Service is the port that it is about, of a policy the first that it decides.
func (p *Plan) Service() cliv1alpha1.PortReference { return assess.PortReference(p.service) }

// Policy is the name of the policy that is written.
func (p *Plan) Policy() string { return p.policy.Name }

// Created says that the policy is a new one.
func (p *Plan) Created() bool { return p.created }

// Changes says whether anything would be written.
func (p *Plan) Changes() bool { return p.medium.changes() }

// Written names what is written, as a person finds it: files, or objects and
// their namespace.
func (p *Plan) Written() string { return p.medium.written() }

// Done is what to say of the policy after Commit: "pinned".
func (p *Plan) Done() string { return p.done }

// Confirmation is what has to be answered before Commit.
func (p *Plan) Confirmation() Confirmation {
	clean := p.confirmation
	clean.Question, clean.Why = untrusted.Text(clean.Question), untrusted.Text(clean.Why)
	return clean
}

// Manifest is the resulting policy as YAML, after the ConfigMap that it needs. It
// is as it stands in the file, with the comments of its author.
func (p *Plan) Manifest() string { return p.manifest }

// Difference is the change as a unified diff.
func (p *Plan) Difference() string { return p.difference }

// Show writes what would change, and what there is to know before.
func (p *Plan) Show(w io.Writer, width int, color bool) error {
	shown := &view.Change{Style: view.NewStyle(color).Within(width), Now: p.world.Snapshot.Now}
	if err := p.tell(shown); err != nil {
		return err
	}
	return shown.Print(w)
}

// Commit makes the change. It is refused with edit.ErrChanged if what it is about
// is not as it was any more.
func (p *Plan) Commit(ctx context.Context) error {
	if err := p.medium.write(ctx, p); err != nil {
		return err
	}
	manifest, err := p.render()
	p.manifest = manifest
	return err
}

func (p *Plan) key() gwapi.Key { return policyKey(p.policy) }

// enforced is what the operator would check on a port after the change, as the
// policy is written; nil where it would refuse the policy, which fault says.
func (p *Plan) enforced(port collect.Port) (trust *model.Trust, fault string) {
	next, found := p.next.Port(port.Key())
	switch {
	case !found:
		return nil, service(port) + " is not there any more"
	case next.Strict.Policy == nil || next.Strict.Policy.Written == nil:
		return nil, p.plain(next.Strict.Fault)
	default:
		return next.Strict.Policy.Written, ""
	}
}

// plain is a fault without the name of the policy in front, which everybody
// knows here.
func (p *Plan) plain(fault string) string { return strings.TrimPrefix(fault, p.key().String()+": ") }
