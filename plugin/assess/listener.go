package assess

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// listenerFault is why nobody can connect to the listener of the path, such as
// a port that another process has, "" if the operator's status knows of nothing.
func (a *Assessor) listenerFault(path model.Path) string {
	gateway, found := a.World.Snapshot.Gateways.Get(path.Gateway.NamespacedName())
	if !found {
		return ""
	}
	i := slices.IndexFunc(gateway.Status.Listeners, func(listener gatewayv1.ListenerStatus) bool {
		return string(listener.Name) == path.Listener
	})
	if i < 0 {
		return ""
	}
	conditions := gateway.Status.Listeners[i].Conditions
	for _, kind := range [...]gatewayv1.ListenerConditionType{
		gatewayv1.ListenerConditionAccepted, gatewayv1.ListenerConditionProgrammed,
	} {
		said := meta.FindStatusCondition(conditions, string(kind))
		if said != nil && said.Status == metav1.ConditionFalse && said.ObservedGeneration == gateway.Generation {
			return untrusted.Text(said.Message + " (" + said.Reason + ")")
		}
	}
	return ""
}
