package edit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The option keys that this package writes.
const (
	OptionMode         = gwapi.Prefix + "mode"
	OptionSince        = gwapi.Prefix + "mode-since"
	OptionUntil        = gwapi.Prefix + "mode-until"
	OptionReason       = gwapi.Prefix + "mode-reason"
	OptionPins         = gwapi.Prefix + "pins"
	OptionPinsOnly     = gwapi.Prefix + "pins-only"
	OptionCertificates = gwapi.Prefix + "trusted-certificates"
)

// PinnedOnly is the wellKnownCACertificates of a policy that trusts pins
// alone; every other implementation must refuse it.
const PinnedOnly = gwapi.Prefix + "PinnedOnly"

// Edit is a change of one BackendTLSPolicy. It names every field it touches,
// so that nothing else of the object, and nobody else's field, is.
type Edit struct {
	// Options are set, or removed where nil.
	Options map[string]*string
	// CARefs replaces caCertificateRefs; nil leaves it.
	CARefs []gatewayv1.LocalObjectReference
	// DropWellKnown removes wellKnownCACertificates.
	DropWellKnown bool
}

// set and remove build Options.
func (e *Edit) set(key, value string) { e.option(key, &value) }

func (e *Edit) remove(keys ...string) {
	for _, key := range keys {
		e.option(key, nil)
	}
}

func (e *Edit) option(key string, value *string) {
	if e.Options == nil {
		e.Options = map[string]*string{}
	}
	e.Options[key] = value
}

// Apply is the policy with the change made; the argument stays as it is.
func (e Edit) Apply(policy *gatewayv1.BackendTLSPolicy) *gatewayv1.BackendTLSPolicy {
	after := policy.DeepCopy()
	for key, value := range e.Options {
		if value == nil {
			delete(after.Spec.Options, gatewayv1.AnnotationKey(key))
			continue
		}
		if after.Spec.Options == nil {
			after.Spec.Options = map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{}
		}
		after.Spec.Options[gatewayv1.AnnotationKey(key)] = gatewayv1.AnnotationValue(*value)
	}
	if len(after.Spec.Options) == 0 {
		after.Spec.Options = nil
	}
	if e.CARefs != nil {
		after.Spec.Validation.CACertificateRefs = slices.Clone(e.CARefs)
	}
	if e.DropWellKnown {
		after.Spec.Validation.WellKnownCACertificates = nil
	}
	return after
}

// Changes says whether Apply would change the policy.
func (e Edit) Changes(policy *gatewayv1.BackendTLSPolicy) bool {
	after := e.Apply(policy)
	return !maps.Equal(after.Spec.Options, policy.Spec.Options) ||
		!slices.Equal(after.Spec.Validation.CACertificateRefs, policy.Spec.Validation.CACertificateRefs) ||
		(after.Spec.Validation.WellKnownCACertificates == nil) != (policy.Spec.Validation.WellKnownCACertificates == nil)
}

// option is the value of one of our options, "" if absent.
func option(policy *gatewayv1.BackendTLSPolicy, key string) string {
	return string(policy.Spec.Options[gatewayv1.AnnotationKey(key)])
}

// pinnedOnly says whether the policy has no other trust than its pins.
func pinnedOnly(policy *gatewayv1.BackendTLSPolicy) bool {
	wellKnown := policy.Spec.Validation.WellKnownCACertificates
	return wellKnown != nil && *wellKnown == PinnedOnly
}

// Describe lists what changes, a line each: "+ KEY: VALUE" and "- KEY: VALUE".
func (e Edit) Describe(policy *gatewayv1.BackendTLSPolicy) []string {
	after := e.Apply(policy)
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		old, had := policy.Spec.Options[gatewayv1.AnnotationKey(key)]
		value, has := after.Spec.Options[gatewayv1.AnnotationKey(key)]
		if had == has && old == value {
			continue
		}
		if had {
			lines = append(lines, fmt.Sprintf("- %s: %s", key, old))
		}
		if has {
			lines = append(lines, fmt.Sprintf("+ %s: %s", key, value))
		}
	}
	if old := policy.Spec.Validation.WellKnownCACertificates; old != nil && e.DropWellKnown {
		lines = append(lines, fmt.Sprintf("- wellKnownCACertificates: %s", *old))
	}
	if e.CARefs == nil || slices.Equal(e.CARefs, policy.Spec.Validation.CACertificateRefs) {
		return lines
	}
	for _, old := range policy.Spec.Validation.CACertificateRefs {
		lines = append(lines, fmt.Sprintf("- caCertificateRefs: %s/%s", strings.ToLower(string(old.Kind)), old.Name))
	}
	for _, reference := range e.CARefs {
		lines = append(lines,
			fmt.Sprintf("+ caCertificateRefs: %s/%s", strings.ToLower(string(reference.Kind)), reference.Name))
	}
	return lines
}
