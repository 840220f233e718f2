package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// identity is the client certificate that a field names for a Gateway's
// connections to backends. Without a fault and a pair there is none.
type identity struct {
	pair *model.KeyPair
	// why and fault say why it cannot be used. Backends are then not connected to:
	// without it they might let in less than they should, or somebody else.
	why   absence
	fault string
}

// gatewayIdentity is spec.tls.backend.clientCertificateRef of a Gateway.
func (b *builder) gatewayIdentity(gateway *gatewayv1.Gateway) identity {
	if gateway.Spec.TLS == nil || gateway.Spec.TLS.Backend == nil || gateway.Spec.TLS.Backend.ClientCertificateRef == nil {
		return identity{}
	}
	ref := gateway.Spec.TLS.Backend.ClientCertificateRef
	key := gwapi.KeyOf(gwapi.KindGateway, gateway.Namespace, gateway.Name)
	const field = "spec.tls.backend.clientCertificateRef: "
	if !gwapi.KindSecret.Is(ref.Group, ref.Kind, "", gwapi.KindSecret) {
		return identity{why: faulty, fault: fmt.Sprintf("%s%s is not supported, core/%s is", field,
			gwapi.GroupKind(ref.Group, ref.Kind, "", gwapi.KindSecret), gwapi.KindSecret)}
	}
	namespace := gateway.Namespace
	if ref.Namespace != nil && *ref.Namespace != "" {
		namespace = string(*ref.Namespace)
	}
	return b.identityOf(key, gwapi.KeyOf(gwapi.KindSecret, namespace, string(ref.Name)), field)
}

// identityOf reads a Secret for a Gateway, if that may have it: its own
// namespace's, or one that a ReferenceGrant lets it refer to. Nothing else is
// read, and so nothing else can leave the namespace.
func (b *builder) identityOf(gateway, secret gwapi.Key, field string) identity {
	if why, sentence := b.permitted(gateway, secret); why != present {
		return identity{why: why, fault: field + sentence}
	}
	read := b.keyPair(gateway, secret)
	if read.why != present {
		return identity{why: read.why, fault: field + read.sentence}
	}
	return identity{pair: &read.pair}
}

// settleIdentity decides what Envoy presents to the policy's backends: what the
// policy names, else what the Gateway does.
func (p *tlsPolicies) settleIdentity(s *tlsStanding) {
	if s.refused.some() {
		return
	}
	var found identity
	field := ""
	if name := s.judged.options.client; name != "" {
		field = fmt.Sprintf("spec.options[%q]: ", gwapi.Prefix+optionClient)
		found = p.b.identityOf(s.gateway, gwapi.KeyOf(gwapi.KindSecret, s.policy.Namespace, name), field)
	} else if gateway, known := p.b.snap.Gateways.Get(s.gateway.NamespacedName()); known {
		found = p.b.gatewayIdentity(gateway)
	}
	s.identity = found.pair
	if found.fault == "" {
		return
	}
	if field == "" {
		// The reference is the Gateway's, whose ResolvedRefs says so.
		reason := report.PolicyReasonInvalid
		if found.why == unseen {
			reason = report.PolicyReasonUnseen
		}
		s.refused = policyFault{reason, fmt.Sprintf("%s has no usable client certificate for backends: %s; or name one in "+
			"%s%s", s.gateway, found.fault, gwapi.Prefix, optionClient)}
		return
	}
	switch found.why {
	case unseen:
		s.unresolved = policyFault{report.PolicyReasonUnseen, found.fault}
		s.refused = s.unresolved
	case forbidden:
		s.unresolved = policyFault{report.PolicyReasonRefNotPermitted, found.fault}
		s.refused = policyFault{report.PolicyReasonInvalid, found.fault}
	case present, missing, faulty:
		s.unresolved = policyFault{report.PolicyReasonInvalidClientCertificateRef, found.fault}
		s.refused = policyFault{report.PolicyReasonInvalid, found.fault}
	}
}
