package resolve

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// backendRef is one backend of a rule, understood as far as no policy is
// needed for it.
type backendRef struct {
	field   string
	weight  uint32
	service gwapi.Key
	// number is the port asked for, 0 for none.
	number int32
	port   corev1.ServicePort
	// protocol is what the route speaks to it.
	protocol model.BackendProtocol
	// mirror says how many requests it gets a copy of; nil where it gets those
	// themselves, by weight.
	mirror *model.Mirror
	// reason and fault say why there is no such port, "" if there is.
	reason gatewayv1.RouteConditionReason
	fault  string
	// unseen: nobody could look, so fault is no statement about the route.
	unseen bool
}

// reasonUnsupportedService is used with ResolvedRefs for a Service that exists
// and cannot be a backend.
const reasonUnsupportedService = gatewayv1.RouteReasonUnsupportedValue

// backendRef resolves a backend of a route, for all Gateways it is attached to.
func (b *builder) backendRef(route *routeView, spec *gatewayv1.BackendRef, field string) backendRef {
	ref := backendRef{field: field, weight: 1}
	if spec.Weight != nil {
		ref.weight = uint32(max(*spec.Weight, 0))
	}
	if spec.Port != nil {
		ref.number = *spec.Port
	}
	if !gwapi.KindService.Is(spec.Group, spec.Kind, "", gwapi.KindService) {
		ref.refuse(gatewayv1.RouteReasonInvalidKind, fmt.Sprintf("%s %q cannot be a backend, core/%s can",
			gwapi.GroupKind(spec.Group, spec.Kind, "", gwapi.KindService), spec.Name, gwapi.KindService))
		return ref
	}
	namespace := route.key.Namespace
	if spec.Namespace != nil && *spec.Namespace != "" {
		namespace = string(*spec.Namespace)
	}
	ref.service = gwapi.KeyOf(gwapi.KindService, namespace, string(spec.Name))
	for _, gateway := range route.ours() {
		b.ref(gateway.key, ref.service)
	}
	if why, sentence := b.permitted(route.key, ref.service); why != present {
		ref.refuseAbsent(why, gatewayv1.RouteReasonRefNotPermitted, sentence)
		return ref
	}
	service, why, sentence := findStanding(b, ref.service, b.snap.Services)
	if why != present {
		ref.refuseAbsent(why, gatewayv1.RouteReasonBackendNotFound, sentence)
		return ref
	}
	ref.choosePort(service)
	ref.checkProtocol(route.key.Kind)
	return ref
}

// refuseAbsent gives the reason, unless nobody could look: then none is known.
func (r *backendRef) refuseAbsent(why absence, reason gatewayv1.RouteConditionReason, fault string) {
	if why == unseen {
		r.unseen, reason = true, gatewayv1.RouteConditionReason(report.ReasonUnseen)
	}
	r.refuse(reason, fault)
}

func (r *backendRef) refuse(reason gatewayv1.RouteConditionReason, fault string) {
	r.reason, r.fault = reason, fault
}

// choosePort finds the port of the Service and refuses what cannot be served.
func (r *backendRef) choosePort(service *corev1.Service) {
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		// Such a Service names any host at all, that of Envoy's own administration
		// included (Contour, CVE-2021-32783).
		r.refuse(reasonUnsupportedService, fmt.Sprintf("%s is of type ExternalName, which is not served", r.service))
		return
	}
	if r.number == 0 {
		r.refuse(gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("port: required for %s, which has %s",
			r.service, servicePorts(service)))
		return
	}
	for _, port := range service.Spec.Ports {
		if port.Port != r.number {
			continue
		}
		if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
			r.port = port
			return
		}
	}
	r.refuse(gatewayv1.RouteReasonBackendNotFound, fmt.Sprintf("port: %s has no TCP port %d, it has %s",
		r.service, r.number, servicePorts(service)))
}

// checkProtocol finds out what routes of a kind speak to the port, if they can.
func (r *backendRef) checkProtocol(kind gwapi.Kind) {
	switch {
	case r.fault != "":
	case unspeakable(kind, r.port):
		r.refuse(gatewayv1.RouteReasonUnsupportedProtocol, fmt.Sprintf("%s port %d has appProtocol %q; supported are %s",
			r.service, r.number, *r.port.AppProtocol, strings.Join(speakable(kind), ", ")))
	default:
		r.protocol = spokenBy(kind, r.port)
	}
}

func servicePorts(service *corev1.Service) string {
	if len(service.Spec.Ports) == 0 {
		return "none"
	}
	ports := make([]string, len(service.Spec.Ports))
	for i, port := range service.Spec.Ports {
		ports[i] = fmt.Sprint(port.Port)
		if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
			ports[i] += "/" + string(port.Protocol)
		}
	}
	return strings.Join(ports, ", ")
}
