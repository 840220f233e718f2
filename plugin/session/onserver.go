package session

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/view"
)

// onServer makes a draft in a cluster.
type onServer struct {
	server edit.Server
	// local says that the API server is not asked what it would make of it.
	local bool

	policy edit.Patch
	// bundle and trim are the changes of the ConfigMap before and after the
	// policy's, nil for none.
	bundle, trim *edit.Patch
	// result is the policy as the API server would store it, or has stored it.
	result *unstructured.Unstructured
}

// stage asks the API server for the policy as it is, with who owns what of it,
// and, in a dry run, what it would make of the change: if admission refuses it,
// that is known before anybody is asked.
func (m *onServer) stage(ctx context.Context, p *Plan) (*collect.World, error) {
	var err error
	if m.policy, err = m.patch(ctx, p); err != nil {
		return nil, err
	}
	if p.configMap != nil {
		if err := m.stageBundle(ctx, p); err != nil {
			return nil, err
		}
	}
	if m.policy.Changes() && !m.local {
		if m.result, err = m.server.DryRun(ctx, m.policy); err != nil {
			return nil, nothingWritten(err)
		}
		p.after = &gatewayv1.BackendTLSPolicy{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(m.result.Object, p.after); err != nil {
			return nil, fmt.Errorf("%s, as the API server would store it: %w", m.policy, err)
		}
	}
	if p.configMap == nil {
		return p.world.Replacing(p.after), nil
	}
	return p.world.Replacing(p.after, p.configMap), nil
}

// patch is the change of the policy as it is by now, which must be as it was
// when the World was read.
func (m *onServer) patch(ctx context.Context, p *Plan) (edit.Patch, error) {
	if p.created {
		return edit.Creation(edit.Policies, p.after)
	}
	live, err := m.server.Get(ctx, edit.Policies, p.key().NamespacedName())
	switch {
	case err != nil:
		return edit.Patch{}, nothingWritten(err)
	case live == nil:
		return edit.Patch{}, fmt.Errorf("btlspolicy/%s is gone: %w", p.policy.Name, edit.ErrChanged)
	case live.GetUID() != p.policy.UID || live.GetGeneration() != p.policy.Generation:
		return edit.Patch{}, fmt.Errorf("btlspolicy/%s has changed since it was read: %w", p.policy.Name, edit.ErrChanged)
	}
	return p.edit.Patch(live), nil
}

func (m *onServer) stageBundle(ctx context.Context, p *Plan) error {
	key := gwapi.KeyOf(gwapi.KindConfigMap, p.configMap.Namespace, p.configMap.Name)
	live, err := m.server.Get(ctx, edit.ConfigMaps, key.NamespacedName())
	if err != nil {
		return nothingWritten(err)
	}
	var bundle, trim edit.Patch
	if live == nil {
		if bundle, err = edit.Creation(edit.ConfigMaps, p.configMap); err != nil {
			return err
		}
	} else {
		if live.GetResourceVersion() != p.configMap.ResourceVersion {
			return fmt.Errorf("configmap/%s has changed since it was read: %w", key.Name, edit.ErrChanged)
		}
		bundle, trim = edit.BundlePatches(live, p.configMap)
	}
	if trim.Live != nil && trim.Changes() {
		m.trim = &trim
	}
	if !bundle.Changes() {
		return nil
	}
	m.bundle = &bundle
	if m.local {
		return nil
	}
	if _, err := m.server.DryRun(ctx, bundle); err != nil {
		return nothingWritten(err)
	}
	return nil
}

func (m *onServer) changes() bool { return m.policy.Changes() || m.bundle != nil || m.trim != nil }

func (m *onServer) written() string {
	var names []string
	if m.bundle != nil || m.trim != nil {
		names = append(names, "configmap/"+edit.ConfigMapName(m.policy.Key().Name))
	}
	if m.policy.Changes() || len(names) == 0 {
		names = append(names, m.policy.String())
	}
	return strings.Join(names, " and ") + " in namespace " + m.policy.Key().Namespace
}

func (m *onServer) policyAt() string { return "namespace " + m.policy.Key().Namespace }

func (m *onServer) configMapAt() string { return m.policyAt() }

// caution names who else owns what is about to change, and what admission would
// change beside.
func (m *onServer) caution(p *Plan, shown *view.Change) error {
	if m.result != nil {
		var lines []view.Line
		for _, difference := range m.policy.Beside(m.result) {
			lines = append(lines, view.Line{
				Sign: string(difference.Sign), Field: difference.Field, Value: difference.Value,
			})
		}
		if len(lines) > 0 {
			shown.Section("BY ADMISSION", "what the API server changes beside that", lines)
		}
	}
	patches := []edit.Patch{m.policy}
	for _, other := range []*edit.Patch{m.bundle, m.trim} {
		if other != nil {
			patches = append(patches, *other)
		}
	}
	undone := false
	for _, patch := range patches {
		taken, err := patch.Taken()
		if err != nil {
			return fmt.Errorf("nothing was written: %s: %w", patch, err)
		}
		for _, one := range taken {
			shown.Say("%s owns %s of %s: %s.", one.Who(), strings.Join(one.Fields, ", "), patch, one.Outcome())
			undone = undone || one.Undoes()
		}
	}
	if !undone {
		return nil
	}
	return m.forGit(p, shown)
}

// forGit is the manifest for where the other manager takes it from.
func (m *onServer) forGit(p *Plan, shown *view.Change) error {
	shown.Say("Make the change there, too. This is the manifest for it:")
	var manifests []string
	if p.configMap != nil {
		content, err := document(p.configMap)
		if err != nil {
			return err
		}
		manifests = append(manifests, string(content))
	}
	content, err := document(p.after)
	if err != nil {
		return err
	}
	shown.Verbatim(strings.Join(append(manifests, string(content)), "---\n"))
	return nil
}

// write makes the change: what the policy will refer to, the policy, and then
// what nothing refers to any more.
func (m *onServer) write(ctx context.Context, p *Plan) error {
	var before string
	if m.bundle != nil {
		stored, err := m.server.Write(ctx, *m.bundle)
		if err != nil {
			return nothingWritten(err)
		}
		before = m.bundle.String()
		if m.trim != nil {
			m.trim.Live = stored
		}
	}
	if m.policy.Changes() {
		stored, err := m.server.Write(ctx, m.policy)
		switch {
		case err != nil && before != "" && errors.Is(err, edit.ErrWritten):
			return fmt.Errorf("%s was written; %w", before, explain(err))
		case err != nil && before != "":
			return edit.Written(fmt.Errorf("only %s was written: %w", before, explain(err)))
		case err != nil:
			return nothingWritten(err)
		}
		m.result = stored
		p.after = &gatewayv1.BackendTLSPolicy{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(stored.Object, p.after); err != nil {
			return edit.Written(fmt.Errorf("%s was written: %w", m.policy, err))
		}
	}
	if m.trim != nil {
		if _, err := m.server.Write(ctx, *m.trim); err != nil {
			return edit.Written(fmt.Errorf("%s was written, but what it does not refer to any more is still in %s: %w",
				m.policy, m.trim, explain(err)))
		}
	}
	return nil
}

func (m *onServer) text(*Plan, gwapi.Key) string { return "" }

// nothingWritten is an error before anything was written, unless nobody knows that.
func nothingWritten(err error) error {
	if errors.Is(err, edit.ErrWritten) {
		return explain(err)
	}
	return fmt.Errorf("nothing was written: %w", explain(err))
}

// explain adds to a refusal for lack of rights how to look them up. The API
// server names verb and resource; admission refuses in words of its own.
func explain(err error) error {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	if !ok || !apierrors.IsForbidden(err) || status.ErrStatus.Details == nil {
		return err
	}
	details := status.ErrStatus.Details
	message := status.ErrStatus.Message
	for _, verb := range [...]string{"get", "create", "patch"} {
		if strings.Contains(message, fmt.Sprintf("cannot %s resource", verb)) {
			resource := details.Kind
			if details.Group != "" {
				resource += "." + details.Group
			}
			return fmt.Errorf("%w; what is missing is the right to %s %s", err, verb, resource)
		}
	}
	return err
}

// liveConfigMap reads a ConfigMap from the cluster, nil if there is none. The
// World holds only those that something refers to.
func (d *Drafter) liveConfigMap(ctx context.Context, key gwapi.Key) (*corev1.ConfigMap, error) {
	client, err := d.Cluster.Client()
	if err != nil {
		return nil, err
	}
	live, err := edit.Server{Client: client}.Get(ctx, edit.ConfigMaps, key.NamespacedName())
	if err != nil || live == nil {
		return nil, err
	}
	configMap := &corev1.ConfigMap{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, configMap); err != nil {
		return nil, fmt.Errorf("configmap/%s: %w", key.Name, err)
	}
	return configMap, nil
}
