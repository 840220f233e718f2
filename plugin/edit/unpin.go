package edit

import (
	"fmt"
	"slices"
	"strings"

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
	known, err := pin.ParseList(option(policy, OptionPins))
	if err != nil {
		return e, fmt.Errorf("backendtlspolicy %s/%s, spec.options %s: %w", policy.Namespace, policy.Name, OptionPins, err)
	}
	for _, one := range drop {
		if !slices.Contains(known, one) {
			return e, fmt.Errorf("%s is not a pin of backendtlspolicy %s/%s; its pins are %s",
				one, policy.Namespace, policy.Name, join(known))
		}
	}
	kept := slices.DeleteFunc(known, func(one pin.Pin) bool { return slices.Contains(drop, one) })
	if len(kept) == 0 {
		return e, fmt.Errorf("that would remove the last pin of backendtlspolicy %s/%s: "+
			"leave the PIN out to go back to spec.validation, or `pin --replace` what is served now",
			policy.Namespace, policy.Name)
	}
	e.set(OptionPins, join(kept))
	return e, nil
}

func unpinAll(policy *gatewayv1.BackendTLSPolicy) (Edit, error) {
	var e Edit
	if pinnedOnly(policy) {
		return e, fmt.Errorf("backendtlspolicy %s/%s has no trust but its pins (wellKnownCACertificates: %s): "+
			"give it caCertificateRefs or wellKnownCACertificates: System first, or `pin --form ca`",
			policy.Namespace, policy.Name, PinnedOnly)
	}
	if option(policy, OptionPins) == "" && option(policy, OptionCertificates) == "" {
		return e, fmt.Errorf("backendtlspolicy %s/%s has no pins", policy.Namespace, policy.Name)
	}
	e.remove(OptionPins, OptionPinsOnly, OptionCertificates)
	return e, nil
}

func join(pins []pin.Pin) string {
	texts := make([]string, len(pins))
	for i, one := range pins {
		texts[i] = one.String()
	}
	return strings.Join(texts, " ")
}
