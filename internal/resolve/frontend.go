package resolve

import (
	"crypto/x509"
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// frontend is what spec.tls.frontend asks of the clients of a port. The zero
// frontend asks nothing.
type frontend struct {
	// field is the validation's in the Gateway, "" where there is none.
	field string
	// fallback is AllowInsecureFallback.
	fallback bool
	// clients is what Envoy asks; nil where nothing is asked, and where no CA can
	// be used, in which case nobody may be let in.
	clients *model.ClientValidation
	// reason is that of the worst reference, "" where all resolve.
	reason gatewayv1.ListenerConditionReason
	faults []string
	// unseen are references that could not be looked at.
	unseen []string
	// mode is what is wrong with the mode, "" if nothing is.
	mode string
}

// usable says whether clients can be let in: nothing is asked of them, or there
// is a CA to ask it with.
func (f *frontend) usable() bool { return f == nil || f.field == "" || f.clients != nil }

// validation is what Envoy asks, nil for nothing.
func (f *frontend) validation() *model.ClientValidation {
	if f == nil {
		return nil
	}
	return f.clients
}

// fault records a reference that does not resolve. That one is not permitted
// says more than that one is of a wrong kind, and that more than a broken one.
func (f *frontend) fault(reason gatewayv1.ListenerConditionReason, fault string) {
	ranks := []gatewayv1.ListenerConditionReason{
		"", gatewayv1.ListenerReasonInvalidCACertificateRef, gatewayv1.ListenerReasonInvalidCACertificateKind,
		gatewayv1.ListenerReasonRefNotPermitted,
	}
	if slices.Index(ranks, reason) > slices.Index(ranks, f.reason) {
		f.reason = reason
	}
	f.faults = append(f.faults, fault)
}

// validateClients decides what a listener at which TLS ends asks of its clients,
// and refuses it where no CA is left to ask it with. The standard speaks of HTTPS
// only; that a TLS listener of the port let everybody in would surprise whoever
// asked for certificates.
func (b *builder) validateClients(l *listenerNode) {
	if !l.terminates() {
		return
	}
	l.clients = b.frontendOf(l.gateway, l.spec.Port)
	switch {
	case l.refused != nil, l.clients.field == "":
	case l.clients.mode != "":
		l.refused = new(report.ListenerUnsupportedValue(l.clients.mode))
	case l.clients.clients == nil && len(l.clients.unseen) == 0:
		l.refused = new(report.ListenerNoValidCACertificate(
			"no CA certificate is left to verify clients with: " + report.List(l.clients.faults)))
	}
}

// terminates says whether TLS ends at the listener.
func (l *listenerNode) terminates() bool {
	switch l.spec.Protocol {
	case gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType:
		return l.spec.TLS == nil || l.spec.TLS.Mode == nil || *l.spec.TLS.Mode != gatewayv1.TLSModePassthrough
	case gatewayv1.HTTPProtocolType, gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
	}
	return false
}

// frontendOf reads what a Gateway asks of the clients of a port, once for all
// listeners of the port.
func (b *builder) frontendOf(gateway *gatewayNode, port gatewayv1.PortNumber) *frontend {
	if known, found := gateway.frontends[port]; found {
		return known
	}
	read := &frontend{}
	field, spec := frontendValidation(gateway.object, port)
	if spec != nil {
		read.field = field
		b.readFrontend(gateway.key, read, spec)
	}
	if gateway.frontends == nil {
		gateway.frontends = map[gatewayv1.PortNumber]*frontend{}
	}
	gateway.frontends[port] = read
	return read
}

// frontendValidation is the field that speaks of the port and what it says. A
// port's own entry replaces the default, also where it asks nothing.
func frontendValidation(
	gateway *gatewayv1.Gateway, port gatewayv1.PortNumber,
) (field string, spec *gatewayv1.FrontendTLSValidation) {
	if gateway.Spec.TLS == nil || gateway.Spec.TLS.Frontend == nil {
		return "", nil
	}
	of := gateway.Spec.TLS.Frontend
	for i := range of.PerPort {
		if of.PerPort[i].Port == port {
			return fmt.Sprintf("spec.tls.frontend.perPort[%d].tls.validation", i), of.PerPort[i].TLS.Validation
		}
	}
	return "spec.tls.frontend.default.validation", of.Default.Validation
}

// readFrontend reads the mode and every CA. With some references invalid the
// valid ones count: fewer clients are let in, never others.
func (b *builder) readFrontend(gateway gwapi.Key, f *frontend, spec *gatewayv1.FrontendTLSValidation) {
	switch spec.Mode {
	case gatewayv1.AllowInsecureFallback:
		f.fallback = true
	case gatewayv1.AllowValidOnly, "":
	default:
		f.mode = fmt.Sprintf("%s.mode: %q is not supported; %s and %s are", f.field, spec.Mode,
			gatewayv1.AllowValidOnly, gatewayv1.AllowInsecureFallback)
	}
	var sets []anchorSet
	var all []*x509.Certificate
	for i := range spec.CACertificateRefs {
		field := fmt.Sprintf("%s.caCertificateRefs[%d]: ", f.field, i)
		if found, ok := b.frontendCA(gateway, f, field, &spec.CACertificateRefs[i]); ok {
			sets = append(sets, found.anchors)
			all = append(all, found.certificates...)
		}
	}
	if len(spec.CACertificateRefs) == 0 {
		f.fault(gatewayv1.ListenerReasonInvalidCACertificateRef,
			f.field+".caCertificateRefs: at least one ConfigMap with a CA certificate is required")
	}
	if len(all) == 0 || f.mode != "" {
		return
	}
	anchors := sets[0]
	if len(sets) > 1 {
		anchors = newAnchorSet(all)
	}
	f.clients = &model.ClientValidation{Anchors: anchors.raw, AnchorsDigest: anchors.digest, Fallback: f.fallback}
}

// frontendCA reads one reference. Only what the Gateway may refer to is read: a
// grant that comes later is a change by itself. For what has no namespace nobody
// has to grant anything.
func (b *builder) frontendCA(
	gateway gwapi.Key, f *frontend, field string, ref *gatewayv1.ObjectReference,
) (found bundle, ok bool) {
	namespace := gateway.Namespace
	named := ref.Namespace != nil && *ref.Namespace != ""
	if named {
		namespace = string(*ref.Namespace)
	}
	object, fault := authority(b.snap, ref.Group, ref.Kind, namespace, ref.Name)
	why, sentence := present, ""
	switch {
	case fault != "":
		f.fault(gatewayv1.ListenerReasonInvalidCACertificateKind, field+fault)
		return bundle{}, false
	case object.Namespace != "":
		why, sentence = b.permitted(gateway, object)
	case named:
		why, sentence = faulty, fmt.Sprintf("a %s has no namespace, %q is given", object.Kind, namespace)
	}
	if why == present {
		found = b.bundles.get(gateway, object, caKey)
		why, sentence = found.why, found.fault
	}
	switch why {
	case present:
		return found, true
	case unseen:
		f.unseen = append(f.unseen, field+sentence)
	case forbidden:
		f.fault(gatewayv1.ListenerReasonRefNotPermitted, field+sentence)
	case missing, faulty:
		f.fault(gatewayv1.ListenerReasonInvalidCACertificateRef, field+sentence)
	}
	return bundle{}, false
}
