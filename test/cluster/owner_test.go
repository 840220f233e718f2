package cluster

import (
	"errors"
	"maps"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/edit"
)

// theirs is the policy as somebody else has it in git.
func theirs(namespace string, options map[string]any) *unstructured.Unstructured {
	policy := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "api", "namespace": namespace},
		"spec": map[string]any{
			"targetRefs": []any{map[string]any{"group": "", "kind": "Service", "name": "api"}},
			"validation": map[string]any{"hostname": hostname, "wellKnownCACertificates": "System"},
			"options":    options,
		},
	}}
	policy.SetGroupVersionKind(edit.Policies)
	return policy
}

// shared is a policy that several write, as the plugin does and as others do.
type shared struct {
	*testing.T

	server edit.Server
	name   types.NamespacedName
}

func (s *shared) live() *unstructured.Unstructured {
	s.Helper()
	live, err := s.server.Get(s.Context(), edit.Policies, s.name)
	if err != nil || live == nil {
		s.Fatalf("%v, %v", live, err)
	}
	return live
}

// applies is what Argo CD does.
func (s *shared) applies(manager string, options map[string]any) {
	s.Helper()
	err := here.client.Patch(s.Context(), theirs(s.name.Namespace, options), client.Apply, //nolint:staticcheck // As others do.
		client.FieldOwner(manager), client.ForceOwnership)
	if err != nil {
		s.Fatal(err)
	}
}

// pins sets, and the empty value removes.
func pins(value string) edit.Edit {
	if value == "" {
		return edit.Edit{Options: map[string]*string{edit.OptionPins: nil, edit.OptionPinsOnly: nil}}
	}
	return edit.Edit{Options: map[string]*string{edit.OptionPins: &value, edit.OptionPinsOnly: new("true")}}
}

// writes makes an edit and returns the options after it.
func (s *shared) writes(change edit.Edit) map[string]string {
	s.Helper()
	patch := change.Patch(s.live())
	foreseen, err := s.server.DryRun(s.Context(), patch)
	if err != nil {
		s.Fatal(err)
	}
	written, err := s.server.Write(s.Context(), patch)
	if err != nil {
		s.Fatal(err)
	}
	after, _, _ := unstructured.NestedStringMap(written.Object, "spec", "options")
	if dry, _, _ := unstructured.NestedStringMap(foreseen.Object, "spec", "options"); !maps.Equal(dry, after) {
		s.Errorf("the dry run said %v, and it became %v", dry, after)
	}
	return after
}

func (s *shared) expects(got map[string]string, want map[string]string) {
	s.Helper()
	if !maps.Equal(got, want) {
		s.Errorf("options are %v, want %v", got, want)
	}
}

// TestAPolicyIsSharedWithOtherManagers goes through a life of a policy that the
// plugin and others write, on a real API server.
func TestAPolicyIsSharedWithOtherManagers(t *testing.T) {
	space := newSpace(t)
	s := &shared{
		T: t, server: edit.Server{Client: here.client},
		name: types.NamespacedName{Namespace: space.name, Name: "api"},
	}
	const argo = "argocd-controller"
	if _, err := s.server.Write(t.Context(), edit.Patch{New: theirs(space.name, map[string]any{"example.com/x": "1"})}); err != nil {
		t.Fatal(err)
	}
	_, err := s.server.Write(t.Context(), edit.Patch{New: theirs(space.name, nil)})
	if !errors.Is(err, edit.ErrChanged) {
		t.Errorf("created twice: %v", err)
	}
	s.expects(s.writes(pins("spki-sha256:one")), map[string]string{
		"example.com/x": "1", edit.OptionPins: "spki-sha256:one", edit.OptionPinsOnly: "true",
	})
	s.expects(s.writes(pins("")), map[string]string{"example.com/x": "1"})

	s.applies(argo, map[string]any{edit.OptionPins: "spki-sha256:theirs", edit.OptionMode: "InsecureSkipVerification"})
	taken, err := pins("spki-sha256:two").Patch(s.live()).Taken()
	if err != nil || len(taken) != 1 || taken[0].Manager != argo || !slices.Equal(taken[0].Fields, []string{edit.OptionPins}) {
		t.Errorf("taken: %v, %v", taken, err)
	}
	s.expects(s.writes(pins("spki-sha256:two")), map[string]string{
		"example.com/x": "1", edit.OptionMode: "InsecureSkipVerification",
		edit.OptionPins: "spki-sha256:two", edit.OptionPinsOnly: "true",
	})
	// Theirs is removed and ours is set in one write.
	both := pins("spki-sha256:three")
	both.Options[edit.OptionMode] = nil
	generation := s.live().GetGeneration()
	s.expects(s.writes(both), map[string]string{
		"example.com/x": "1", edit.OptionPins: "spki-sha256:three", edit.OptionPinsOnly: "true",
	})
	if now := s.live().GetGeneration(); now != generation+1 {
		t.Errorf("%d generations for one change", now-generation)
	}
	s.expects(s.writes(pins("")), map[string]string{"example.com/x": "1"})

	// What another manager still owns, it still owns.
	for _, entry := range s.live().GetManagedFields() {
		if entry.Manager == argo && entry.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("%v", entry)
		}
	}
}

// TestAPolicyThatChangedIsNotWritten, and one whose status changed is.
func TestAPolicyThatChangedIsNotWritten(t *testing.T) {
	space := newSpace(t)
	s := &shared{
		T: t, server: edit.Server{Client: here.client},
		name: types.NamespacedName{Namespace: space.name, Name: "api"},
	}
	if _, err := s.server.Write(t.Context(), edit.Patch{New: theirs(space.name, nil)}); err != nil {
		t.Fatal(err)
	}
	patch := pins("spki-sha256:one").Patch(s.live())
	changed := s.live()
	if err := unstructured.SetNestedField(changed.Object, "other.example.com", "spec", "validation", "hostname"); err != nil {
		t.Fatal(err)
	}
	if err := here.client.Update(t.Context(), changed, client.FieldOwner("kubectl-edit")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.server.Write(t.Context(), patch); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("written: %v", err)
	}
	patch = pins("spki-sha256:one").Patch(s.live())
	spoken := s.live()
	spoken.Object["status"] = map[string]any{"ancestors": []any{map[string]any{
		"ancestorRef":    map[string]any{"name": "elsewhere"},
		"controllerName": "example.com/another",
		"conditions": []any{map[string]any{
			"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
			"lastTransitionTime": "2026-01-01T00:00:00Z",
		}},
	}}}
	if err := here.client.Status().Update(t.Context(), spoken); err != nil {
		t.Fatal(err)
	}
	if _, err := s.server.Write(t.Context(), patch); err != nil {
		t.Error(err)
	}
	if err := here.client.Delete(t.Context(), s.live()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.server.Write(t.Context(), patch); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("a policy that is gone: %v", err)
	}
}
