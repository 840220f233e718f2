package assess

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// sourceController is what another controller wrote.
const sourceController = "Controller"

// meshController writes what Istio has to say of a Service, whatever Gateway leads
// to it.
const meshController = "istio.io/mesh-controller"

// theirs are the conditions that the controller of the path wrote about the
// policy on its Gateway, and what there is to say about them as a whole.
func (a *Assessor) theirs(
	policy *gatewayv1.BackendTLSPolicy, path model.Path, who string,
) (conditions []cliv1alpha1.Condition, note string) {
	written := a.ancestorOf(policy, path, who)
	if written == nil {
		if !a.World.Live() || implementationOf(who).name == who {
			// Files hold no status of others, and who knows whether this one writes any?
			return nil, ""
		}
		return nil, fmt.Sprintf("%s has written no status about this policy on %s", who, path.Gateway)
	}
	for _, said := range written.Conditions {
		shown := condition(said, sourceController)
		shown.Outdated = said.ObservedGeneration != 0 && said.ObservedGeneration != policy.Generation
		conditions = append(conditions, shown)
	}
	slices.SortStableFunc(conditions, func(a, b cliv1alpha1.Condition) int {
		return cmp.Compare(conditionRank(a.Type), conditionRank(b.Type))
	})
	return conditions, generationNote(written, policy)
}

// conditionRank puts conditions in the order in which ours are shown, those of
// others last.
func conditionRank(name string) int {
	for i, kind := range conditionTypes {
		if kind.name == name {
			return i
		}
	}
	return len(conditionTypes)
}

// generationNote says how far a status is from the policy that was read, "" where
// it is about it.
func generationNote(written *gatewayv1.PolicyAncestorStatus, policy *gatewayv1.BackendTLSPolicy) string {
	if len(written.Conditions) == 0 {
		return ""
	}
	oldest := slices.MinFunc(written.Conditions, func(a, b metav1.Condition) int {
		return cmp.Compare(a.ObservedGeneration, b.ObservedGeneration)
	}).ObservedGeneration
	switch oldest {
	case policy.Generation:
		return ""
	case 0:
		return fmt.Sprintf("the status of %s does not say which generation of this policy it is about",
			written.ControllerName)
	default:
		return fmt.Sprintf("the status of %s is about generation %d of this policy, which is now at %d",
			written.ControllerName, oldest, policy.Generation)
	}
}

// ancestorOf is the entry that the controller wrote about the policy on the
// path's Gateway: that of its listener rather than that of the whole Gateway. For
// Istio, which speaks of Services first, that of the Service has to do.
func (a *Assessor) ancestorOf(
	policy *gatewayv1.BackendTLSPolicy, path model.Path, who string,
) *gatewayv1.PolicyAncestorStatus {
	var whole, service *gatewayv1.PolicyAncestorStatus
	for i := range policy.Status.Ancestors {
		entry := &policy.Status.Ancestors[i]
		ref := &entry.AncestorRef
		section := ""
		if ref.SectionName != nil {
			section = string(*ref.SectionName)
		}
		switch {
		case string(entry.ControllerName) == who && a.meansGateway(ref, policy.Namespace, path):
			if section == path.Listener {
				return entry
			}
			if section == "" {
				whole = entry
			}
		case string(entry.ControllerName) == meshController && implementationOf(who).name == "Istio" &&
			meansService(ref, path) && (section == "" || section == path.PortName):
			service = entry
		}
	}
	if whole != nil {
		return whole
	}
	return service
}

// meansGateway says whether an ancestorRef means the path's Gateway. Some write no
// namespace where the Gateway is in another one than the policy (Istio), or the
// route's parentRef as it is (Envoy Gateway), or the namespace of the backend
// (Traefik): a name that is no Gateway where the reference points means the one
// that there is.
func (a *Assessor) meansGateway(ref *gatewayv1.ParentReference, namespace string, path model.Path) bool {
	if !gwapi.KindGateway.Is(ref.Group, ref.Kind, gatewayv1.GroupName, gwapi.KindGateway) ||
		string(ref.Name) != path.Gateway.Name {
		return false
	}
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	if namespace == path.Gateway.Namespace || ref.Namespace == nil && path.Route.Namespace == path.Gateway.Namespace {
		return true
	}
	_, exists := a.World.Snapshot.Gateways.Get(types.NamespacedName{Namespace: namespace, Name: path.Gateway.Name})
	_, hidden := a.World.Hidden(gwapi.KindGateway, namespace)
	return !exists && !hidden
}

// meansService says whether an ancestorRef means the path's Service, which is in
// the policy's namespace.
func meansService(ref *gatewayv1.ParentReference, path model.Path) bool {
	return gwapi.KindService.Is(ref.Group, ref.Kind, gatewayv1.GroupName, gwapi.KindGateway) &&
		string(ref.Name) == path.Service.Name &&
		(ref.Namespace == nil || string(*ref.Namespace) == path.Service.Namespace)
}

// currently is a condition that is not known to be about another generation, nil
// if there is none.
func currently(conditions []cliv1alpha1.Condition, name string) *cliv1alpha1.Condition {
	said := find(conditions, name)
	if said == nil || said.Outdated {
		return nil
	}
	return said
}

// complaints are what the controller says against the route of the path.
func (a *Assessor) complaints(path model.Path) string {
	conditions := a.World.RouteConditions(path)
	for _, name := range [...]string{"Accepted", "ResolvedRefs"} {
		said := meta.FindStatusCondition(conditions, name)
		if said != nil && said.Status == metav1.ConditionFalse {
			return fmt.Sprintf("; of %s it says %s=False/%s: %s", path.Route, name, said.Reason, said.Message)
		}
	}
	return ""
}
