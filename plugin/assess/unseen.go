package assess

import (
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// unseenReason is Build's for a statement that depends on what could not be
// read.
const unseenReason = string(report.ReasonUnseen)

// The reasons of Unseen: rights that are missing, and Secrets, which are never
// read.
const (
	forbidden = "Forbidden"
	NotRead   = "SecretNotRead"
)

// known is the path as Build would tell it, if it had seen the GatewayClass: our
// operator says in the status of the route that the Gateway is its own, and a
// policy without a mode means the same on all of those. With a mode it depends on
// GatewayParameters that only the class names.
func (a *Assessor) known(port collect.Port, path model.Path) model.Path {
	if path.Ours || a.World.ControllerOf(path) != gwapi.ControllerName ||
		port.Policy != nil && option(port.Policy, "mode") != "" {
		return path
	}
	if port.Strict.Route.Kind != path.Route.Kind && port.Policy != nil && option(port.Policy, "alpn-protocols") != "" {
		return path // What may be offered depends on what the route speaks.
	}
	path.Ours, path.Controller = true, gwapi.ControllerName
	if path.FaultReason == "" && path.Fault == "" {
		path.Policy, path.FaultReason, path.Fault = port.Strict.Policy, port.Strict.FaultReason, port.Strict.Fault
	}
	return path
}

// told is the verdict about a path that Build cannot decide, because something
// could not be read: what the operator wrote, who could read it.
func told(fault string, conditions []cliv1alpha1.Condition) cliv1alpha1.Verdict {
	for _, name := range [...]string{"Accepted", "ResolvedRefs"} {
		said := find(conditions, name)
		if said == nil || said.Source != sourceOperator || said.Status != "False" {
			continue
		}
		if name == "ResolvedRefs" && accepted(conditions) {
			continue // Some references are not valid, and the others are used.
		}
		return cliv1alpha1.Verdict{
			Result: Refused, Status: http.StatusInternalServerError, Reason: said.Reason, Message: said.Message,
		}
	}
	if verdict := unasked(find(conditions, "BackendsVerified"), toldMode(conditions)); verdict.Result != NotProbed {
		return verdict
	}
	verdict := cliv1alpha1.Verdict{Result: Unseen, Reason: forbidden, Message: untrusted.Text(fault)}
	if strings.Contains(fault, collect.NoSecrets) {
		verdict.Reason = NotRead
	}
	if accepted(conditions) {
		verdict.Message += "; the operator accepts the policy"
	}
	return verdict
}

// accepted says whether the operator accepts the policy.
func accepted(conditions []cliv1alpha1.Condition) bool {
	said := find(conditions, "Accepted")
	return said != nil && said.Source == sourceOperator && said.Status == "True"
}

// inForce says of a mode that Build could not decide what the operator's status
// says of it.
func (a *Assessor) inForce(mode *cliv1alpha1.Mode, conditions []cliv1alpha1.Condition) {
	said := find(conditions, "SecurityDegraded")
	if said == nil || said.Source != sourceOperator || said.Status != "True" || mode.Requested == string(model.Standard) {
		return
	}
	mode.State, mode.Enforced = string(model.ModeActive), mode.Requested
	if mode.Until != nil {
		mode.SecondsLeft = new(int64(mode.Until.Sub(a.World.Snapshot.Now) / time.Second))
	}
}

// asked says of a policy on a Gateway of which it is not known whether it is ours
// what mode the policy asks for, and what became of it by the operator's status.
func (a *Assessor) asked(
	described *cliv1alpha1.Policy, object *gatewayv1.BackendTLSPolicy, conditions []cliv1alpha1.Condition,
) {
	if described == nil || object == nil || option(object, "mode") == "" {
		return
	}
	described.Mode.Requested = untrusted.Text(option(object, "mode"))
	described.Mode.Reason = untrusted.Text(option(object, "mode-reason"))
	described.Mode.Enforced, described.Trust = "", nil
	described.Unseen = "whether the mode is in force depends on a GatewayClass that could not be read"
	for name, field := range map[string]**metav1.Time{
		"mode-since": &described.Mode.Since, "mode-until": &described.Mode.Until,
	} {
		if at, err := time.Parse(time.RFC3339, option(object, name)); err == nil {
			*field = optionalTime(at)
		}
	}
	a.inForce(&described.Mode, conditions)
}

// hiddenEndpoints says why the endpoints of the port are not known, "" if they
// are.
func (a *Assessor) hiddenEndpoints(port collect.Port) string {
	reason, _ := a.World.Hidden(gwapi.KindEndpointSlice, port.Service.Namespace)
	return reason
}

// hiddenRoutes says why it is not known what leads to a port that nothing seems to
// lead to, "" where it is known that nothing does.
func (a *Assessor) hiddenRoutes(port collect.Port) string {
	for _, kind := range [...]gwapi.Kind{
		gwapi.KindGateway, gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute, gwapi.KindTCPRoute,
		gwapi.KindListenerSet,
	} {
		if reason, hidden := a.World.Hidden(kind, port.Service.Namespace); hidden {
			return "what leads to it is not known: " + reason
		}
	}
	return ""
}
