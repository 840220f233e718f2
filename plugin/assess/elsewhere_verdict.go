package assess

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// foreignController is the reason of a path about which another controller
// decides, and nothing more is known.
const foreignController = "ForeignController"

// verdict is what a request gets there: what the controller says in its status,
// else, where its data plane is known, what the endpoints showed.
func (e *elsewhere) verdict(endpoints []cliv1alpha1.Endpoint) cliv1alpha1.Verdict {
	if said := currently(e.conditions, "Accepted"); said != nil && said.Status == "False" {
		return e.notAccepted(said)
	}
	fault := e.port.Elsewhere.FaultReason
	switch {
	case fault == unseenReason:
		return e.unseen()
	case e.ignored():
		return e.unknown("IgnoredByIstio", "the annotation "+ignoreAnnotation+" keeps the policy from it: "+e.known.alone)
	case e.written != nil && e.oddRoots() != "":
		return e.unknown("Invalid", "wellKnownCACertificates "+e.oddRoots()+" means nothing to it: "+e.withOddRoots())
	case len(e.neighbours) > 0:
		return e.unknown(e.neighbours[0].Kind, e.neighbours[0].String()+
			" also configures TLS to this Service: "+e.known.precedence)
	case e.written == nil && e.known.alone == plaintext:
		return e.told(Plaintext, "NoPolicy", e.without())
	case e.written == nil:
		return e.unknown("NoPolicy", e.without())
	case e.trust == nil:
		return e.unknown(fault, "by the standard it has to refuse the policy: "+e.port.Elsewhere.Fault)
	case slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Result != NotProbed }):
		return e.judged(endpoints)
	case len(endpoints) == 0 && e.hiddenEndpoints(e.port) == "":
		return e.told(NoEndpoints, NoEndpoints, "no EndpointSlice lists a ready endpoint of this port")
	default:
		return e.unknown(foreignController, e.acceptance())
	}
}

// without says what there is to say of a port that no policy targets.
func (e *elsewhere) without() string {
	text := "no policy targets this port"
	if e.known.alone != "" {
		text += ": " + e.known.alone
	}
	return text + e.astray(e.port)
}

// belongs says whose Gateway it is.
func (e *elsewhere) belongs() string {
	who := e.who
	if e.known.name != e.who {
		who = e.known.name + " (" + e.who + ")"
	}
	return fmt.Sprintf("%s belongs to %s, which ignores options under backendtls.dev", e.path.Gateway, who)
}

// told is a verdict whose Gateway is somebody else's.
func (e *elsewhere) told(result, reason, message string) cliv1alpha1.Verdict {
	return cliv1alpha1.Verdict{
		Result: result, Reason: untrusted.Text(reason), Message: untrusted.Text(e.phrased(result, message)),
	}
}

// phrased says first what stands in the way, or, where nobody knows, whose Gateway
// it is.
func (e *elsewhere) phrased(result, message string) string {
	message += e.complaints(e.path)
	switch {
	case message == "":
		return e.belongs()
	case result == Foreign:
		return e.belongs() + "; " + strings.TrimPrefix(message, "; ")
	default:
		return strings.TrimSuffix(message, ".") + "; " + e.belongs()
	}
}

// unknown leaves the verdict to the other controller.
func (e *elsewhere) unknown(reason, message string) cliv1alpha1.Verdict {
	return e.told(Foreign, reason, message)
}

// acceptance is what the status says for the policy.
func (e *elsewhere) acceptance() string {
	if said := currently(e.conditions, "Accepted"); said != nil && said.Status == "True" {
		return "it accepts the policy"
	}
	return ""
}

// notAccepted is what becomes of a policy that the controller does not accept.
func (e *elsewhere) notAccepted(said *cliv1alpha1.Condition) cliv1alpha1.Verdict {
	text := fmt.Sprintf("it does not accept the policy: %s", said.Message)
	switch {
	case said.Reason == string(gatewayv1.PolicyReasonConflicted):
		return e.unknown(said.Reason, text)
	case said.Reason == "IgnoredByIstio":
		return e.unknown(said.Reason, text+": "+e.known.alone)
	case e.oddRoots() != "" && e.known.oddWellKnown:
		return e.unknown(said.Reason, text+"; "+e.withOddRoots())
	}
	verdict := e.told(Refused, said.Reason, text)
	verdict.Status = e.known.refusal
	return verdict
}

// ignoreAnnotation keeps a policy from Istio where it is "true".
const ignoreAnnotation = "istio.io/ignore-policy-attachment"

// ignored says whether the policy is kept from the controller, whose status may
// not have said so yet.
func (e *elsewhere) ignored() bool {
	return e.written != nil && e.known.name == "Istio" &&
		strings.EqualFold(e.written.Annotations[ignoreAnnotation], "true")
}

// oddRoots is what wellKnownCACertificates names that the standard does not know,
// "" if it does not.
func (e *elsewhere) oddRoots() string {
	known := e.written.Spec.Validation.WellKnownCACertificates
	if known == nil || *known == gatewayv1.WellKnownCACertificatesSystem {
		return ""
	}
	return string(*known)
}

// withOddRoots is what the controller does with them.
func (e *elsewhere) withOddRoots() string {
	if e.known.oddWellKnown {
		return "it verifies by the system's roots all the same"
	}
	return "the standard has it refuse the policy"
}

// unseen is the verdict where what the policy trusts could not be read.
func (e *elsewhere) unseen() cliv1alpha1.Verdict {
	verdict := told(e.port.Elsewhere.Fault, nil)
	if accepted := e.acceptance(); accepted != "" {
		verdict.Message += "; " + accepted
	}
	verdict.Message = untrusted.Text(e.phrased(verdict.Result, verdict.Message))
	return verdict
}

// judged is what the endpoints come to by spec.validation, where the controller
// verifies as this project does.
func (e *elsewhere) judged(endpoints []cliv1alpha1.Endpoint) cliv1alpha1.Verdict {
	verdict := e.summary(endpoints, nil, model.Standard)
	doubt := e.doubt()
	if doubt == "" {
		if verdict.Result == Passes {
			verdict.Message = "the certificate of every endpoint passes spec.validation, by which it verifies"
			if e.nameless() {
				verdict.Message = "the certificate of every endpoint passes what it checks, which its names are not"
			}
		}
		verdict.Message = untrusted.Text(e.phrased(verdict.Result, verdict.Message))
		return verdict
	}
	outcome := "by spec.validation every endpoint passes"
	if verdict.Result != Passes {
		outcome = "by spec.validation: " + verdict.Message
	}
	return e.unknown(foreignController, outcome+"; "+doubt)
}

// doubt says why what endpoints showed does not decide, "" if it does.
func (e *elsewhere) doubt() string {
	for key := range e.written.Spec.Options {
		if e.reads(string(key)) {
			return fmt.Sprintf("it also reads options under %s, which are not judged here", e.known.options)
		}
	}
	switch {
	case !e.known.judged:
		return "how it verifies is not known here"
	case e.usesFirstOnly():
		return "of several caCertificateRefs it uses the first only"
	case e.unread != "":
		return "whether something else configures TLS to this Service is not known: " + e.unread
	default:
		return ""
	}
}

// fixFailing goes by the reason that the first failing endpoint gives. What works
// by options of ours is no way out there.
func (e *elsewhere) fixFailing(endpoints []cliv1alpha1.Endpoint, portable string) *cliv1alpha1.Fix {
	i := slices.IndexFunc(endpoints, func(endpoint cliv1alpha1.Endpoint) bool { return endpoint.Result == Fails })
	if i < 0 {
		return nil
	}
	failing := endpoints[i]
	switch verify.Reason(failing.Reason) {
	case verify.UntrustedIssuer:
		if failing.Certificate != nil && failing.Certificate.SelfSigned {
			return &cliv1alpha1.Fix{
				Message: "only a CA can be trusted there: issue a certificate by one; pins work on Gateways of backendtls",
			}
		}
		return &cliv1alpha1.Fix{
			Command: portable,
			Message: "only if the issuer is the one you expect: it trusts the CA that is presented",
		}
	case verify.CertificateExpired:
		return &cliv1alpha1.Fix{Message: "renew the certificate: skip-verify has no effect there"}
	default:
		return e.Assessor.fixFailing(e.port, endpoints)
	}
}
