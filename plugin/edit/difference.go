package edit

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Difference is a line of what an Edit changes in a policy.
type Difference struct {
	Sign Sign
	// Field is the option's key, or the field of spec.validation.
	Field string
	// Value is as it is written in the policy, of a list one element. Somebody
	// else may have written it.
	Value string
}

// Sign says what becomes of a value.
type Sign string

// The signs.
const (
	Removed Sign = "-"
	Added   Sign = "+"
	Kept    Sign = " "
)

// Differences lists what changes, a field at a time: of a list each element,
// those that stay included. Fields that stay as they are, are left out.
func (e Edit) Differences(policy *gatewayv1.BackendTLSPolicy) []Difference {
	after := e.Apply(policy)
	var list []Difference
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		list = append(list, difference(key, elements(policy, key), elements(after, key))...)
	}
	list = append(list, difference(fieldWellKnown, wellKnown(policy), wellKnown(after))...)
	return append(list, difference(fieldCARefs, references(policy), references(after))...)
}

// Changes says whether Apply would change the policy.
func (e Edit) Changes(policy *gatewayv1.BackendTLSPolicy) bool {
	return slices.ContainsFunc(e.Differences(policy), func(d Difference) bool { return d.Sign != Kept })
}

func difference(field string, old, current []string) []Difference {
	if slices.Equal(old, current) {
		return nil
	}
	var list []Difference
	for _, value := range old {
		sign := Removed
		if slices.Contains(current, value) {
			sign = Kept
		}
		list = append(list, Difference{Sign: sign, Field: field, Value: value})
	}
	for _, value := range current {
		if !slices.Contains(old, value) {
			list = append(list, Difference{Sign: Added, Field: field, Value: value})
		}
	}
	return list
}

// elements are the value of an option, none if it is absent; of pins and
// trusted-certificates each one.
func elements(policy *gatewayv1.BackendTLSPolicy, key string) []string {
	value, found := policy.Spec.Options[gatewayv1.AnnotationKey(key)]
	switch {
	case !found:
		return nil
	case key == OptionPins || key == OptionCertificates:
		return strings.FieldsFunc(string(value), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	default:
		return []string{string(value)}
	}
}

func wellKnown(policy *gatewayv1.BackendTLSPolicy) []string {
	if policy.Spec.Validation.WellKnownCACertificates == nil {
		return nil
	}
	return []string{string(*policy.Spec.Validation.WellKnownCACertificates)}
}

func references(policy *gatewayv1.BackendTLSPolicy) []string {
	var list []string
	for _, reference := range policy.Spec.Validation.CACertificateRefs {
		list = append(list, strings.ToLower(string(reference.Kind))+"/"+string(reference.Name))
	}
	return list
}

// Beside lists what of spec is another in the outcome than the patch asks for:
// what admission or a default of the API server changed.
func (p Patch) Beside(outcome *unstructured.Unstructured) []Difference {
	asked := map[string]string{}
	if p.Live == nil {
		flatten(asked, "", p.New.Object["spec"])
	} else {
		after := p.Live.DeepCopy()
		for _, field := range p.Fields {
			if field.Value == nil {
				unstructured.RemoveNestedField(after.Object, field.Path...)
				continue
			}
			put(after.Object, field.Path, field.Value)
		}
		flatten(asked, "", after.Object["spec"])
	}
	stored := map[string]string{}
	flatten(stored, "", outcome.Object["spec"])
	var list []Difference
	for _, field := range slices.Sorted(maps.Keys(asked)) {
		if value, stays := stored[field]; !stays || value != asked[field] {
			list = append(list, Difference{Sign: Removed, Field: field, Value: asked[field]})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(stored)) {
		if value, known := asked[field]; !known || value != stored[field] {
			list = append(list, Difference{Sign: Added, Field: field, Value: stored[field]})
		}
	}
	return list
}

// flatten lists the leaves of nested mappings; a list is one leaf.
func flatten(leaves map[string]string, at string, value any) {
	switch value := value.(type) {
	case nil:
	case map[string]any:
		for key, below := range value {
			flatten(leaves, strings.TrimPrefix(at+"."+key, "."), below)
		}
	case string:
		leaves[at] = value
	default:
		text, err := json.Marshal(value)
		if err == nil {
			leaves[at] = string(text)
		}
	}
}
