package edit

import (
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/pin"
)

// Unpin is the edit that removes the given pins, or without any all of them
// and the certificates pinned as such, which leaves spec.validation.
func Unpin(policy *gatewayv1.BackendTLSPolicy, drop []pin.Pin) (Edit, error) {
	if len(drop) == 0 {
		return unpinAll(policy)
	}
	var e Edit
	name := "btlspolicy/" + policy.Name
	if option(policy, OptionPins) == "" {
		return e, fmt.Errorf("%s has no pins to remove one of", name)
	}
	known, err := pin.ParseList(option(policy, OptionPins))
	if err != nil {
		return e, fmt.Errorf("%s, spec.options %s: %w", name, OptionPins, err)
	}
	for _, one := range drop {
		if !slices.Contains(known, one) {
			return e, fmt.Errorf("%s is not a pin of %s; its pins are %s", one, name, join(known))
		}
	}
	kept := slices.DeleteFunc(known, func(one pin.Pin) bool { return slices.Contains(drop, one) })
	if len(kept) == 0 {
		return e, fmt.Errorf("the last pin of %s is not removed by itself: leave PIN out to go back to spec.validation, "+
			"or pin what is served now with `pin --replace`", name)
	}
	e.set(OptionPins, join(kept))
	return e, nil
}

func unpinAll(policy *gatewayv1.BackendTLSPolicy) (Edit, error) {
	var e Edit
	if pinnedOnly(policy) {
		return e, fmt.Errorf("btlspolicy/%s trusts nothing but its pins (%s is %s): "+
			"use `pin --form ca`, or write caCertificateRefs or wellKnownCACertificates: System in its place first",
			policy.Name, fieldWellKnown, PinnedOnly)
	}
	e.remove(OptionPins, OptionPinsOnly, OptionCertificates)
	if !e.Changes(policy) {
		return e, fmt.Errorf("btlspolicy/%s has no pins", policy.Name)
	}
	return e, nil
}
