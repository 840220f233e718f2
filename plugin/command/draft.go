package command

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/view"
)

// draft is a change that was decided and not made yet.
type draft struct {
	world *collect.World
	// ports are those that the change is about.
	ports []collect.Port
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
}

// medium is where a draft is made: in files or in a cluster.
type medium interface {
	// stage prepares the change without making it, and is the World as it would
	// be. An error says why the change cannot be made.
	stage(ctx context.Context, d *draft) (*collect.World, error)
	// changes says whether anything would be written.
	changes() bool
	// written names what is written, as a person finds it; policyAt and
	// configMapAt say where these two are.
	written() string
	policyAt() string
	configMapAt() string
	// caution says what else there is to know before the answer.
	caution(d *draft, shown *view.Change) error
	// write makes the change.
	write(ctx context.Context, d *draft) error
	// text is the document of an object as it stands there after the change, ""
	// where there is none of its own.
	text(d *draft, key gwapi.Key) string
}

func (d *draft) key() gwapi.Key { return policyKey(d.policy) }

// preview makes the change where nobody sees it, and lets the operator's own
// Build decide about the outcome.
func (o *Options) preview(ctx context.Context, d *draft, f *WriteFlags) error {
	d.after = d.edit.Apply(d.policy)
	d.medium = &inFiles{world: d.world}
	if d.world.Live() {
		client, err := o.API.Client()
		if err != nil {
			return err
		}
		d.medium = &inCluster{server: edit.Server{Client: client}, local: f.DryRun == dryRunClient}
	}
	var err error
	d.next, err = d.medium.stage(ctx, d)
	return err
}

// changes says whether anything would be written.
func (d *draft) changes() bool { return d.medium.changes() }

// enforced is what the operator would check on a port after the change, as the
// policy is written; nil where it would refuse the policy, which fault says.
func (d *draft) enforced(port collect.Port) (trust *model.Trust, fault string) {
	next, found := d.next.Port(port.Key())
	switch {
	case !found:
		return nil, service(port) + " is not there any more"
	case next.Strict.Policy == nil || next.Strict.Policy.Written == nil:
		return nil, d.plain(next.Strict.Fault)
	default:
		return next.Strict.Policy.Written, ""
	}
}

// plain is a fault without the name of the policy in front, which everybody
// knows here.
func (d *draft) plain(fault string) string { return strings.TrimPrefix(fault, d.key().String()+": ") }

// document is an object as a manifest: without status and without the fields
// that only a server sets.
func document(object metav1.Object) ([]byte, error) {
	content, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", object.GetName(), err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("writing %s: %w", object.GetName(), err)
	}
	delete(fields, "status")
	if metadata, found := fields["metadata"].(map[string]any); found {
		for _, field := range [...]string{"creationTimestamp", "generation", "uid", "resourceVersion", "managedFields"} {
			delete(metadata, field)
		}
		if annotations, found := metadata["annotations"].(map[string]any); found {
			delete(annotations, corev1.LastAppliedConfigAnnotation)
			if len(annotations) == 0 {
				delete(metadata, "annotations")
			}
		}
	}
	return yaml.Marshal(fields)
}
