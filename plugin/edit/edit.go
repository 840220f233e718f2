package edit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/inplace"
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

// The fields of spec.validation that this package writes.
const (
	fieldCARefs    = "caCertificateRefs"
	fieldWellKnown = "wellKnownCACertificates"
)

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

// In makes the change in the text of the file that holds the policy. Nothing
// else in the text changes; an error that is an inplace.ErrUneditable says that
// this is not possible.
func (e Edit) In(content []byte, at manifest.Object) ([]byte, error) {
	place, err := placeOf(content, at)
	if err != nil {
		return nil, err
	}
	return inplace.Apply(content, place, e.changes())
}

// changes lists what is set before what is removed, so that no mapping is empty
// in between.
func (e Edit) changes() []inplace.Change {
	var set, removed []inplace.Change
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		change := inplace.Change{Path: []string{"spec", "options", key}}
		value := e.Options[key]
		switch {
		case value == nil:
			removed = append(removed, change)
			continue
		case key == OptionPins:
			change.Value = inplace.Words(strings.Fields(*value))
		default:
			change.Value = inplace.Text(*value)
		}
		set = append(set, change)
	}
	if e.CARefs != nil {
		var references inplace.Objects
		for _, reference := range e.CARefs {
			references = append(references, inplace.Object{
				{Name: "group", Text: string(reference.Group)},
				{Name: "kind", Text: string(reference.Kind)},
				{Name: "name", Text: string(reference.Name)},
			})
		}
		set = append(set, inplace.Change{Path: []string{"spec", "validation", fieldCARefs}, Value: references})
	}
	if e.DropWellKnown {
		removed = append(removed, inplace.Change{Path: []string{"spec", "validation", fieldWellKnown}})
	}
	return append(set, removed...)
}

// placeOf is where an object stands in the content.
func placeOf(content []byte, at manifest.Object) (inplace.Place, error) {
	documents := manifest.Documents(content)
	if at.Document >= len(documents) {
		return inplace.Place{}, fmt.Errorf("%s does not hold what was read from it: run the command again", at.Place())
	}
	document := documents[at.Document]
	return inplace.Place{Start: document.Start, End: document.End, Item: at.Item}, nil
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
