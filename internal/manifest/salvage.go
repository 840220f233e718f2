package manifest

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// salvage makes of an invalid object what is needed to fail closed in the
// right place: its name, and of a BackendTLSPolicy what it targets. Nil for
// kinds that decide nothing.
func salvage(d *definition, key gwapi.Key, content map[string]any) metav1.Object {
	if !d.decides {
		return nil
	}
	value := d.blank(key)
	policy, ok := value.(*gatewayv1.BackendTLSPolicy)
	if !ok {
		return value
	}
	spec, ok := content["spec"].(map[string]any)
	if !ok {
		return policy
	}
	targets, ok := spec["targetRefs"].([]any)
	if !ok && spec["targetRefs"] != nil {
		// A single reference where a list is due still says what is meant.
		targets = []any{spec["targetRefs"]}
	}
	for _, target := range targets {
		// One without a name stays: it says that something else is targeted too.
		policy.Spec.TargetRefs = append(policy.Spec.TargetRefs, salvageTarget(target))
	}
	policy.Spec.Options = salvageOptions(spec["options"])
	policy.Spec.Validation = salvageValidation(spec["validation"])
	return policy
}

// blank is an object of that key that says nothing.
func (d *definition) blank(key gwapi.Key) metav1.Object {
	value := d.new()
	value.SetName(key.Name)
	value.SetNamespace(key.Namespace)
	value.SetUID(uid(key))
	return value
}

// salvageTarget is what can be made out of a reference; its Name is "" where
// nobody can say what is targeted.
func salvageTarget(target any) (ref targetRef) {
	fields, ok := target.(map[string]any)
	if !ok {
		return ref
	}
	text := func(name string) string {
		value, ok := fields[name].(string)
		if !ok {
			return ""
		}
		return value
	}
	ref.Group, ref.Kind = gatewayv1.Group(text("group")), gatewayv1.Kind(text("kind"))
	ref.Name = gatewayv1.ObjectName(text("name"))
	if ref.Kind == "" {
		// It can be meant for nothing else.
		ref.Kind = gatewayv1.Kind(gwapi.KindService)
	}
	if section := text("sectionName"); section != "" {
		ref.SectionName = new(gatewayv1.SectionName(section))
	}
	return ref
}

func salvageOptions(value any) map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue {
	fields, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	options := make(map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue, len(fields))
	for name, value := range fields {
		if text, ok := value.(string); ok {
			options[gatewayv1.AnnotationKey(name)] = gatewayv1.AnnotationValue(text)
		}
	}
	return options
}

func salvageValidation(value any) (validation gatewayv1.BackendTLSPolicyValidation) {
	fields, ok := value.(map[string]any)
	if !ok {
		return validation
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, &validation); err != nil {
		return gatewayv1.BackendTLSPolicyValidation{}
	}
	return validation
}

// both is what remains of an object that is given several times, nil for
// kinds that decide nothing: of a BackendTLSPolicy everything that any of them
// targets, so that each of those fails closed; of others the name.
func both(objects []Object) metav1.Object {
	d := definitionOfKind(objects[0].Key.Kind)
	if !d.decides {
		return nil
	}
	first, ok := objects[0].Value.(*gatewayv1.BackendTLSPolicy)
	if !ok {
		return d.blank(objects[0].Key)
	}
	merged := first.DeepCopy()
	for _, object := range objects[1:] {
		policy, ok := object.Value.(*gatewayv1.BackendTLSPolicy)
		if !ok {
			continue
		}
		for _, ref := range policy.Spec.TargetRefs {
			same := func(known targetRef) bool { return sameTarget(known, ref) }
			if !slices.ContainsFunc(merged.Spec.TargetRefs, same) {
				merged.Spec.TargetRefs = append(merged.Spec.TargetRefs, ref)
			}
		}
	}
	return merged
}

type targetRef = gatewayv1.LocalPolicyTargetReferenceWithSectionName

func sameTarget(a, b targetRef) bool {
	section := func(ref targetRef) gatewayv1.SectionName {
		if ref.SectionName == nil {
			return ""
		}
		return *ref.SectionName
	}
	return a.LocalPolicyTargetReference == b.LocalPolicyTargetReference && section(a) == section(b)
}
