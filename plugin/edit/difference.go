package edit

import (
	"maps"
	"slices"
	"strings"
	"unicode"

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
