package assess

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// The sources of conditions.
const (
	sourceOperator = "Operator"
	sourceComputed = "Computed"
)

// conditionTypes are a policy's, in the order in which they are shown, each
// with whether it follows from the objects alone. The others say what the data
// plane and the probe did, which only the operator knows.
var conditionTypes = [...]struct {
	name     string
	computed bool
}{
	{"Accepted", true},
	{"ResolvedRefs", true},
	{"Programmed", false},
	{"SecurityDegraded", true},
	{"BackendsVerified", false},
}

// conditions are what the operator wrote about the policy on the Gateway, where
// that is about the policy's present generation, and what Build says, where
// nothing was written or where it says something else.
func (a *Assessor) conditions(policy *gatewayv1.BackendTLSPolicy, gateway gwapi.Key) []cliv1alpha1.Condition {
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
	written := ancestorConditions(policy.Status.Ancestors, policy.Namespace, gateway)
	computed := ancestorConditions(a.World.Result.Reports[key].Ancestors, policy.Namespace, gateway)
	var list []cliv1alpha1.Condition
	accepted := meta.FindStatusCondition(computed, "Accepted")
	unseen := accepted != nil && accepted.Reason == unseenReason
	for _, kind := range conditionTypes {
		said := meta.FindStatusCondition(written, kind.name)
		if said != nil && said.ObservedGeneration != policy.Generation {
			said = nil
		}
		if said != nil {
			list = append(list, condition(*said, sourceOperator))
		}
		found := meta.FindStatusCondition(computed, kind.name)
		if found == nil || !kind.computed || unseen && (said != nil || kind.name == "SecurityDegraded") {
			continue // What nobody could look at contradicts nothing.
		}
		if said == nil || differs(said, found) {
			list = append(list, condition(*found, sourceComputed))
		}
	}
	return list
}

// differs says whether what was computed contradicts what the operator said.
func differs(said, found *metav1.Condition) bool {
	return found.Reason != unseenReason && (said.Status != found.Status || said.Reason != found.Reason)
}

// differing says where what was read and the status of the same generation
// differ.
func (a *Assessor) differing(conditions []cliv1alpha1.Condition) []string {
	these := "these files"
	if a.World.Live() {
		these = "the objects as they are now"
	}
	var list []string
	for i := 1; i < len(conditions); i++ {
		said, found := conditions[i-1], conditions[i]
		if said.Type == found.Type {
			list = append(list, fmt.Sprintf("status says %s=%s/%s, by %s it would be %s/%s: "+
				"the operator has not seen them yet, or sees others",
				said.Type, said.Status, said.Reason, these, found.Status, found.Reason))
		}
	}
	return list
}

// stale says that the operator's status is about another generation than the
// one that was read, "" if it is not or if there is none. A policy that a file
// spoils stays with a standalone operator as it last was, while that runs.
func (a *Assessor) stale(policy *gatewayv1.BackendTLSPolicy, gateway gwapi.Key) string {
	written := ancestorConditions(policy.Status.Ancestors, policy.Namespace, gateway)
	if len(written) == 0 {
		return ""
	}
	newest := slices.MaxFunc(written, func(a, b metav1.Condition) int {
		return cmp.Compare(a.ObservedGeneration, b.ObservedGeneration)
	})
	if newest.ObservedGeneration == policy.Generation {
		return ""
	}
	note := fmt.Sprintf("the operator's status is about generation %d of this policy, which is now at %d",
		newest.ObservedGeneration, policy.Generation)
	_, spoiled := a.World.Snapshot.Faults[gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)]
	if spoiled && !a.World.Live() {
		note += "; an operator that runs enforces the former until this one is mended, and answers 500 once it starts anew"
	}
	return note
}

// ancestorConditions are those of our entry for the Gateway.
func ancestorConditions(
	ancestors []gatewayv1.PolicyAncestorStatus, namespace string, gateway gwapi.Key,
) []metav1.Condition {
	for _, ancestor := range ancestors {
		if ancestor.ControllerName == gwapi.ControllerName && refersTo(ancestor.AncestorRef, namespace, gateway) {
			return ancestor.Conditions
		}
	}
	return nil
}

// refersTo says whether a parentRef in an object of the namespace means the
// Gateway.
func refersTo(ref gatewayv1.ParentReference, namespace string, gateway gwapi.Key) bool {
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	kind := gwapi.KindGateway
	if ref.Kind != nil {
		kind = gwapi.Kind(*ref.Kind)
	}
	return gwapi.KeyOf(kind, namespace, string(ref.Name)) == gateway
}

func condition(c metav1.Condition, source string) cliv1alpha1.Condition {
	shown := cliv1alpha1.Condition{
		Type:    untrusted.Text(c.Type),
		Status:  untrusted.Text(string(c.Status)),
		Reason:  untrusted.Text(c.Reason),
		Message: untrusted.Text(c.Message),
		Source:  source,
	}
	if source != sourceComputed && !c.LastTransitionTime.IsZero() {
		shown.LastTransitionTime = &c.LastTransitionTime
	}
	return shown
}
