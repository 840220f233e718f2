package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/test/manifests"
)

// allowModes is the label of namespaces in which insecure modes may be set, and
// ofThisTest confines the policy to the namespaces of this test, because others
// run in the same cluster.
const (
	allowModes = "backendtls.dev/allow-insecure-modes"
	ofThisTest = "backendtls.dev/admission-test"
)

// TestTheAPIServerRefusesInsecureModes puts the cases of the admission policy to
// a real API server. What there is before a case is made before the policy is.
func TestTheAPIServerRefusesInsecureModes(t *testing.T) {
	cases, err := manifests.AdmissionCases("../manifests/testdata/admission/cases.yaml")
	if err != nil {
		t.Fatal(err)
	}
	mark := fmt.Sprintf("at-%d", time.Now().UnixNano())
	spaces := map[string]string{}
	policies := make([]*unstructured.Unstructured, len(cases))
	for i, c := range cases {
		namespace := admissionSpace(t, spaces, mark, c.Allowed)
		var before *unstructured.Unstructured
		before, policies[i] = c.Policies(namespace, fmt.Sprintf("case-%d", i))
		if before != nil {
			if err := here.client.Create(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
	}
	admissionPolicy(t, mark)
	probe := manifests.PolicyWith(admissionSpace(t, spaces, mark, nil), "probe",
		map[string]string{"mode": "InsecureSkipVerification"})
	eventually(t, time.Minute, "the admission policy is in force", func() string {
		if err := here.client.Create(t.Context(), probe.DeepCopy(), client.DryRunAll); err == nil {
			return "a mode can still be set"
		}
		return ""
	})
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			write := func() error { return here.client.Create(t.Context(), policies[i], client.DryRunAll) }
			if c.Before != nil {
				// The operator writes statuses meanwhile.
				write = func() error { return replaceSpec(t.Context(), policies[i]) }
			}
			err := write()
			if c.Refused == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.Refused != "" && (err == nil || !strings.Contains(err.Error(), c.Refused)) {
				t.Errorf("got %v, want a refusal with %q", err, c.Refused)
			}
		})
	}
}

// replaceSpec is a dry run of writing the spec over what there is.
func replaceSpec(ctx context.Context, desired *unstructured.Unstructured) error {
	live := desired.DeepCopy()
	if err := here.client.Get(ctx, client.ObjectKeyFromObject(desired), live); err != nil {
		return err
	}
	live.Object["spec"] = desired.Object["spec"]
	return here.client.Update(ctx, live, client.DryRunAll)
}

// admissionSpace is the namespace with that value of the label.
func admissionSpace(t *testing.T, spaces map[string]string, mark string, allowed *string) string {
	t.Helper()
	labels := map[string]string{ofThisTest: mark}
	key := "none"
	if allowed != nil {
		labels[allowModes], key = *allowed, "is "+*allowed
	}
	if name, made := spaces[key]; made {
		return name
	}
	namespace := &corev1.Namespace{}
	namespace.GenerateName, namespace.Labels = "test-", labels
	if err := here.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	removeAfter(t, namespace)
	spaces[key] = namespace.Name
	return namespace.Name
}

// admissionPolicy installs the shipped policy under another name, for the
// namespaces of this test alone.
func admissionPolicy(t *testing.T, mark string) {
	t.Helper()
	rendered, err := manifests.Render(root + "/manifests/components/admission")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range rendered {
		object.SetName(mark)
		switch object.GetKind() {
		case "ValidatingAdmissionPolicy":
			path := []string{"spec", "matchConstraints", "namespaceSelector"}
			selector, _, err := unstructured.NestedMap(object.Object, path...)
			if err != nil {
				t.Fatal(err)
			}
			selector["matchLabels"] = map[string]any{ofThisTest: mark}
			if err := unstructured.SetNestedMap(object.Object, selector, path...); err != nil {
				t.Fatal(err)
			}
		case "ValidatingAdmissionPolicyBinding":
			if err := unstructured.SetNestedField(object.Object, mark, "spec", "policyName"); err != nil {
				t.Fatal(err)
			}
		}
		if err := here.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		removeAfter(t, object)
	}
	var policy admissionregistrationv1.ValidatingAdmissionPolicy
	eventually(t, time.Minute, "the API server has checked the types of the admission policy", func() string {
		if err := here.client.Get(t.Context(), client.ObjectKey{Name: mark}, &policy); err != nil {
			return err.Error()
		}
		if policy.Status.TypeChecking == nil {
			return "not yet"
		}
		return ""
	})
	for _, warning := range policy.Status.TypeChecking.ExpressionWarnings {
		t.Errorf("%s: %s", warning.FieldRef, warning.Warning)
	}
}

func removeAfter(t *testing.T, object client.Object) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := here.client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
			t.Error(err)
		}
	})
}
