package assess

import (
	"fmt"
	"net/http"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// verdict is what a request on the path gets, and what each endpoint does.
func (a *Assessor) verdict(
	port collect.Port, path model.Path, conditions []cliv1alpha1.Condition,
) (cliv1alpha1.Verdict, []cliv1alpha1.Endpoint) {
	var trust, written *model.Trust
	if path.Policy != nil {
		trust, written = path.Policy.Trust, path.Policy.Written
	}
	judged := trust
	if judged == nil && port.Strict.Policy != nil {
		// What is refused here is still worth a look: it may be right otherwise.
		judged = port.Strict.Policy.Trust
	}
	endpoints := a.endpoints(port, judged, written)
	verdict := a.decide(port, path, trust, endpoints, conditions)
	if trust != nil && trust.Mode.Insecure() {
		if verdict.Strict = strictly(endpoints); verdict.Strict == NotProbed {
			verdict.Strict = strictVerdict(find(conditions, "BackendsVerified"))
		}
		if verdict.Result == Passes && verdict.Message == "" {
			verdict.Message = weakened(trust.Mode, verdict.Strict)
		}
	}
	verdict.Fix = a.fix(port, path, verdict, endpoints)
	return verdict, endpoints
}

// weakened says what it is worth to pass under an insecure mode.
func weakened(mode model.Mode, strict string) string {
	accepts := "Envoy accepts every endpoint under mode " + string(mode)
	if mode == model.InsecureSkipVerification {
		accepts = "Envoy accepts any certificate under mode " + string(mode)
	}
	switch strict {
	case Passes:
		return accepts + "; strict verification would pass as well"
	case Fails:
		return accepts + "; strict verification would fail, `verify --ignore-mode` says why"
	case Mixed:
		return accepts + "; strict verification would fail for some endpoints, `verify --ignore-mode` says why"
	default:
		return accepts
	}
}

func (a *Assessor) decide(
	port collect.Port, path model.Path, trust *model.Trust,
	endpoints []cliv1alpha1.Endpoint, conditions []cliv1alpha1.Condition,
) cliv1alpha1.Verdict {
	rejected := find(conditions, "Programmed")
	switch {
	case path.FaultReason == unseenReason:
		return told(path.Fault, conditions)
	case path.FaultReason != "" || path.Fault != "":
		fault := path.Fault
		if path.Policy == nil && path.FaultReason == string(gatewayv1.RouteReasonUnsupportedProtocol) {
			fault += a.astray(port)
		}
		return cliv1alpha1.Verdict{
			Result: Refused, Status: http.StatusInternalServerError,
			Reason: untrusted.Text(path.FaultReason), Message: untrusted.Text(fault),
		}
	case !path.Ours:
		return a.foreign(path, conditions)
	case rejected != nil && rejected.Status == "False" && rejected.Reason == "Rejected":
		return cliv1alpha1.Verdict{
			Result: Refused, Status: http.StatusInternalServerError,
			Reason: rejected.Reason, Message: "Envoy rejects the configuration: " + rejected.Message,
		}
	case trust == nil:
		return cliv1alpha1.Verdict{
			Result: Plaintext, Reason: "NoPolicy",
			Message: "no policy targets this port: Envoy speaks plaintext to it" + a.astray(port),
		}
	case len(endpoints) == 0 && a.hiddenEndpoints(port) != "":
		return told("the endpoints could not be read: "+a.hiddenEndpoints(port), conditions)
	case len(endpoints) == 0:
		return cliv1alpha1.Verdict{
			Result: NoEndpoints, Status: http.StatusServiceUnavailable, Reason: NoEndpoints,
			Message: "no EndpointSlice lists a ready endpoint of this port",
		}
	default:
		return a.summary(endpoints, find(conditions, "BackendsVerified"), trust.Mode)
	}
}

// foreign is the verdict about a path whose controller is not known, or is known
// as ours by the status of the route, although its GatewayClass could not be read:
// then it is judged by what our operator says.
func (a *Assessor) foreign(path model.Path, conditions []cliv1alpha1.Condition) cliv1alpha1.Verdict {
	reason, hidden := a.World.Hidden(gwapi.KindGatewayClass, "")
	switch {
	case a.World.ControllerOf(path) == gwapi.ControllerName:
		return told("the GatewayClass of "+path.Gateway.String()+" could not be read: "+reason, conditions)
	case hidden:
		return cliv1alpha1.Verdict{Result: Unseen, Reason: forbidden, Message: untrusted.Text(fmt.Sprintf(
			"which controller %s belongs to is not known: its GatewayClass could not be read: %s", path.Gateway, reason))}
	default:
		return cliv1alpha1.Verdict{Result: Foreign, Reason: foreignController, Message: untrusted.Text(a.classless(path))}
	}
}

// classless says that the GatewayClass of a Gateway is not there, and which one
// was probably meant.
func (a *Assessor) classless(path model.Path) string {
	missing := "is not in the files"
	if a.World.Live() {
		missing = "does not exist"
	}
	named := "that its spec.gatewayClassName names"
	if gateway, found := a.World.Snapshot.Gateways.Get(path.Gateway.NamespacedName()); found {
		named = string(gateway.Spec.GatewayClassName) + " of its spec.gatewayClassName"
	}
	var names []string
	for _, class := range a.World.Snapshot.GatewayClasses.Sorted() {
		names = append(names, class.Name)
	}
	next := "; there is none at all"
	if len(names) > 0 {
		next = "; there is " + strings.Join(names[:min(len(names), 8)], ", ")
	}
	return fmt.Sprintf("no controller is known to serve %s: the GatewayClass %s %s%s", path.Gateway, named, missing, next)
}

// summary is the verdict about several endpoints. What the operator verified
// speaks where nobody asked.
func (a *Assessor) summary(
	endpoints []cliv1alpha1.Endpoint, verified *cliv1alpha1.Condition, mode model.Mode,
) cliv1alpha1.Verdict {
	counts := map[string]int{}
	var first, silent *cliv1alpha1.Endpoint
	for i := range endpoints {
		endpoint := &endpoints[i]
		counts[endpoint.Result]++
		if endpoint.Result == Fails && first == nil {
			first = endpoint
		}
		if endpoint.Result == Unreachable && silent == nil {
			silent = endpoint
		}
	}
	switch {
	case counts[NotProbed] == len(endpoints):
		verdict := unasked(verified, mode)
		if verdict.Result == NotProbed && verdict.Message == "" {
			verdict.Reason, verdict.Message = endpoints[0].Reason, endpoints[0].Message
		}
		return verdict
	case counts[Fails] == len(endpoints):
		return cliv1alpha1.Verdict{
			Result: Fails, Status: http.StatusServiceUnavailable,
			Reason: first.Reason, Message: first.Message,
		}
	case counts[Unreachable] == len(endpoints):
		return a.maybe(cliv1alpha1.Verdict{
			Result: Unreachable, Status: http.StatusServiceUnavailable,
			Reason: silent.Reason, Message: silent.Message,
		})
	case counts[Fails] > 0:
		return cliv1alpha1.Verdict{
			Result: Mixed, Status: http.StatusServiceUnavailable, Reason: "MixedCertificates",
			Message: fmt.Sprintf("%d of %d endpoints fail, first %s: %s",
				counts[Fails], len(endpoints), first.Address, first.Message),
		}
	case counts[Unreachable] > 0:
		return a.maybe(cliv1alpha1.Verdict{
			Result: Mixed, Status: http.StatusServiceUnavailable, Reason: silent.Reason,
			Message: fmt.Sprintf("%d of %d endpoints do not answer, first %s: %s",
				counts[Unreachable], len(endpoints), silent.Address, silent.Message),
		})
	case counts[NotProbed] > 0:
		return cliv1alpha1.Verdict{
			Result: NotProbed, Reason: verdictUnasked, Message: fmt.Sprintf(
				"%d of %d endpoints could not be asked, the others pass", counts[NotProbed], len(endpoints)),
		}
	default:
		return cliv1alpha1.Verdict{Result: Passes}
	}
}

// verdictUnasked is the reason where some endpoints could not be asked.
const verdictUnasked = string(model.FaultUnsupported)

// maybe takes back what the answer of a loopback does not say: whether Envoy,
// which connects to the pod's address, is answered.
func (a *Assessor) maybe(verdict cliv1alpha1.Verdict) cliv1alpha1.Verdict {
	if a.Local {
		verdict.Status = 0
		verdict.Message += "; port-forward asks the pod's loopback, and a server that listens on the pod's address only " +
			"answers Envoy all the same: --via direct asks there"
	}
	return verdict
}

// strictly sums up what the policy as written would say of the endpoints.
func strictly(endpoints []cliv1alpha1.Endpoint) string {
	counts := map[string]int{}
	for _, endpoint := range endpoints {
		switch {
		case endpoint.Strict != "":
			counts[endpoint.Strict]++
		default:
			counts[endpoint.Result]++
		}
	}
	for _, result := range [...]string{Passes, Fails, Unreachable, NotProbed} {
		if len(endpoints) > 0 && counts[result] == len(endpoints) {
			return result
		}
	}
	if len(endpoints) == 0 {
		return NotProbed
	}
	return Mixed
}

func find(conditions []cliv1alpha1.Condition, name string) *cliv1alpha1.Condition {
	for i := range conditions {
		if conditions[i].Type == name {
			return &conditions[i]
		}
	}
	return nil
}
