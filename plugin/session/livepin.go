package session

import (
	"crypto/x509"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/pin"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// The states of a LivePin.
const (
	// PinLive is a pin that an endpoint serves.
	PinLive = "live"
	// PinNext is one that no endpoint serves yet: it stands behind those that are
	// served, where `pin --and-next` puts it.
	PinNext = "next"
	// PinStale is one that no endpoint serves any more: one behind it is served.
	PinStale = "stale"
)

// Pins are the pins of the policy that decides about the port, judged by what was
// fetched. The policy is all there is to judge by, so that a rotation can be taken
// up anywhere: a pin that is added stands last. Of certificates that are trusted
// as such the younger ones come later. Where none of the pins is served, and
// something else is, all of them are stale.
func (s *Session) Pins(port cliv1alpha1.PortReference, seen Fetched) []LivePin {
	world := s.known()
	if world == nil {
		return nil
	}
	found, exists := world.Port(keyOf(port))
	if !exists || found.Policy == nil {
		return nil
	}
	subject := subjectOf(world, []collect.Port{found})
	trusted := edit.Leaves(bundleOf(world, found.Policy))
	listed := edit.Listed(found.Policy)
	for _, certificate := range trusted {
		listed = append(listed, pin.OfCertificate(certificate))
	}
	current := subject.current().Pins
	listed = slices.DeleteFunc(listed, func(one pin.Pin) bool { return !slices.Contains(current, one) })
	for _, one := range current {
		if !slices.Contains(listed, one) {
			listed = append(listed, one)
		}
	}
	list := make([]LivePin, len(listed))
	for i, one := range listed {
		list[i] = livePin(one, trusted, seen)
	}
	stand(list, slices.ContainsFunc(seen.Endpoints, func(endpoint cliv1alpha1.EndpointCertificate) bool {
		return len(endpoint.Chain) > 0
	}))
	return list
}

// stand makes stale what is not live and stands before a live one.
func stand(list []LivePin, answered bool) {
	newest := -1
	for i, one := range list {
		if one.State == PinLive {
			newest = i
		}
	}
	if newest < 0 && answered {
		newest = len(list) - 1
	}
	for i := range list[:newest+1] {
		if list[i].State != PinLive {
			list[i].State = PinStale
		}
	}
}

// bundleOf is the ConfigMap of ours that the policy refers to, nil if it refers to
// none.
func bundleOf(world *collect.World, policy *gatewayv1.BackendTLSPolicy) *corev1.ConfigMap {
	if !edit.Refers(policy) {
		return nil
	}
	key := gwapi.KeyOf(gwapi.KindConfigMap, policy.Namespace, edit.ConfigMapName(policy.Name))
	found, _ := world.Snapshot.ConfigMaps.Get(key.NamespacedName())
	return found
}

// livePin is a pin and who serves it.
func livePin(one pin.Pin, trusted []*x509.Certificate, seen Fetched) LivePin {
	live := LivePin{Pin: one.String(), State: PinNext}
	for _, certificate := range trusted {
		if one.Matches(certificate) {
			shown := assess.Certificate(certificate, false)
			live.Subject, live.NotAfter = shown.Subject, shown.NotAfter.Time
		}
	}
	for _, endpoint := range seen.Endpoints {
		if len(endpoint.Chain) == 0 {
			continue
		}
		leaf := endpoint.Chain[0]
		if leaf.SPKISHA256 != live.Pin && leaf.CertSHA256 != live.Pin {
			continue
		}
		live.State = PinLive
		name := endpoint.Address
		if endpoint.Pod != "" {
			name = endpoint.Pod + " (" + endpoint.Address + ")"
		}
		live.Endpoints = append(live.Endpoints, name)
		if len(live.Endpoints) == 1 || leaf.NotAfter.Time.Before(live.NotAfter) {
			live.Subject, live.NotAfter = leaf.Subject, leaf.NotAfter.Time
		}
	}
	return live
}
