package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/manifests"
)

// What a policy is before the edits of TestHowAnEditIsSentMakesNoDifference.
var modeInForce = map[string]string{
	"mode": "InsecureSkipVerification", "mode-since": "2026-11-21T08:00:00Z", "mode-until": "2026-11-21T10:00:00Z",
	"mode-reason": "renewal",
}

// modeEdits are what is sent in every way that there is, with a part of the refusal.
var modeEdits = []struct {
	name    string
	after   map[string]string
	refused string
}{
	{"nothing", modeInForce, ""},
	{"another reason", modeWith("mode-reason", "another"), ""},
	{"an earlier end", modeWith("mode-until", "2026-11-21T09:00:00Z"), ""},
	{"Standard", modeWith("mode", "Standard"), ""},
	{"no options", nil, ""},
	{"an earlier end, pins and another floor", modeWith("mode-until", "2026-11-21T09:00:00Z", "pins",
		"spki-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "min-tls-version", "1.3"), ""},
	{"a later end", modeWith("mode-until", "2026-11-21T11:00:00Z"), "mode-until]: InsecureSkipVerification may not be extended"},
	{"no end", modeWith("mode-until", ""), "mode-until]: InsecureSkipVerification may not be extended"},
	{"an earlier start", modeWith("mode-since", "2026-11-21T07:00:00Z"), "mode-since]: InsecureSkipVerification may not be extended"},
	{"another mode", modeWith("mode", "InsecureAllowExpired"), "InsecureAllowExpired may not be set"},
	{"a later end among harmless edits", modeWith("mode-until", "2026-11-21T11:00:00Z", "mode-reason", "another",
		"min-tls-version", "1.3"), "mode-until]: InsecureSkipVerification may not be extended"},
}

// modeWith is modeInForce with these keys and values; an empty value removes the key.
func modeWith(pairs ...string) map[string]string {
	options := maps.Clone(modeInForce)
	for i := 0; i < len(pairs); i += 2 {
		options[pairs[i]] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(options, pairs[i])
		}
	}
	return options
}

// modeWrites are how an edit can be sent, as dry runs.
var modeWrites = map[string]func(ctx context.Context, desired *unstructured.Unstructured) error{
	"update": replaceSpec,
	"merge patch": func(ctx context.Context, desired *unstructured.Unstructured) error {
		options, _, _ := unstructured.NestedMap(desired.Object, "spec", "options")
		for key := range modeWith("pins", "x", "min-tls-version", "x") {
			if full := "backendtls.dev/" + key; options[full] == nil {
				if options == nil {
					options = map[string]any{}
				}
				options[full] = nil // Null removes.
			}
		}
		return send(ctx, desired, types.MergePatchType, map[string]any{"spec": map[string]any{"options": options}})
	},
	"JSON patch": func(ctx context.Context, desired *unstructured.Unstructured) error {
		options, _, _ := unstructured.NestedMap(desired.Object, "spec", "options")
		if options == nil {
			options = map[string]any{}
		}
		return send(ctx, desired, types.JSONPatchType, []any{map[string]any{"op": "add", "path": "/spec/options", "value": options}})
	},
	"server-side apply": func(ctx context.Context, desired *unstructured.Unstructured) error {
		return here.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired.DeepCopy()), client.DryRunAll,
			client.FieldOwner("test"), client.ForceOwnership)
	},
}

func send(ctx context.Context, desired *unstructured.Unstructured, kind types.PatchType, patch any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	return here.client.Patch(ctx, desired.DeepCopy(), client.RawPatch(kind, text), client.DryRunAll)
}

// TestHowAnEditIsSentMakesNoDifference: a mode was set while its namespace had the
// label, and then the label was removed. From then on it can be left, shortened
// and edited, by whatever kind of request, and not be extended; its status is
// written as ever; and once the label is back it can be extended.
func TestHowAnEditIsSentMakesNoDifference(t *testing.T) {
	mark := fmt.Sprintf("aw-%d", time.Now().UnixNano())
	namespace := &corev1.Namespace{}
	namespace.GenerateName, namespace.Labels = "test-", map[string]string{ofThisTest: mark, allowModes: "true"}
	if err := here.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, namespace)
	admissionPolicy(t, mark)
	if err := here.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(
		manifests.PolicyWith(namespace.Name, "api", modeInForce)), client.FieldOwner("test")); err != nil {
		t.Fatalf("a mode is refused in a namespace with the label: %v", err)
	}
	label := func(value any, refused bool) {
		t.Helper()
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": map[string]any{allowModes: value}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := here.client.Patch(t.Context(), namespace, client.RawPatch(types.MergePatchType, patch)); err != nil {
			t.Fatal(err)
		}
		longer := manifests.PolicyWith(namespace.Name, "api", modeWith("mode-until", "2026-11-21T11:00:00Z"))
		eventually(t, time.Minute, "the API server knows of the label", func() string {
			if err := replaceSpec(t.Context(), longer); (err != nil) != refused {
				return fmt.Sprintf("an extension gets %v", err)
			}
			return ""
		})
	}
	label(nil, true)
	for way, write := range modeWrites {
		for _, edit := range modeEdits {
			t.Run(edit.name+" by "+way, func(t *testing.T) {
				err := write(t.Context(), manifests.PolicyWith(namespace.Name, "api", edit.after))
				if edit.refused == "" && err != nil {
					t.Errorf("refused: %v", err)
				}
				if edit.refused != "" && (err == nil || !strings.Contains(err.Error(), edit.refused)) {
					t.Errorf("got %v, want a refusal with %q", err, edit.refused)
				}
			})
		}
	}
	t.Run("its status is written as ever", func(t *testing.T) { writeStatus(t, namespace.Name) })
	t.Run("it is created anew by server-side apply", func(t *testing.T) {
		again := manifests.PolicyWith(namespace.Name, "again", modeInForce)
		err := here.client.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(again), client.DryRunAll,
			client.FieldOwner("test"))
		if err == nil || !strings.Contains(err.Error(), "InsecureSkipVerification may not be set") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("it is deleted", func(t *testing.T) {
		if err := here.client.Delete(t.Context(), manifests.PolicyWith(namespace.Name, "api", nil), client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
	label("true", false)
}

// writeStatus writes an entry of another controller: the operator writes its own
// meanwhile.
func writeStatus(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, time.Minute, "a status is taken", func() string {
		policy := &gatewayv1.BackendTLSPolicy{}
		if err := here.client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "api"}, policy); err != nil {
			return err.Error()
		}
		policy.Status.Ancestors = append(policy.Status.Ancestors, gatewayv1.PolicyAncestorStatus{
			AncestorRef: gatewayv1.ParentReference{Name: "web"}, ControllerName: "example.com/other",
			Conditions: []metav1.Condition{{
				Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted", LastTransitionTime: metav1.Now(),
			}},
		})
		if err := here.client.Status().Update(t.Context(), policy, client.DryRunAll); err != nil {
			return err.Error()
		}
		return ""
	})
}
