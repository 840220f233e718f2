package files

import (
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// logEvents logs what would be an Event in a cluster: each change of status or
// reason of a policy's SecurityDegraded and BackendsVerified. What a condition
// says at first is news only if it is bad.
func logEvents(log *slog.Logger, key gwapi.Key, was, now report.Report) {
	for i := range now.Ancestors {
		ancestor := &now.Ancestors[i]
		if ancestor.ControllerName != gwapi.ControllerName {
			continue
		}
		before := entryOf(was.Ancestors, &ancestor.AncestorRef, key.Namespace)
		for _, condition := range []struct {
			name string
			bad  metav1.ConditionStatus
		}{
			{report.PolicySecurityDegraded, metav1.ConditionTrue},
			{report.PolicyBackendsVerified, metav1.ConditionFalse},
		} {
			current := meta.FindStatusCondition(ancestor.Conditions, condition.name)
			if current == nil {
				continue
			}
			bad := current.Status == condition.bad
			last := meta.FindStatusCondition(before, condition.name)
			if last == nil && !bad || last != nil && last.Status == current.Status && last.Reason == current.Reason {
				continue
			}
			eventType := corev1.EventTypeNormal
			if bad {
				eventType = corev1.EventTypeWarning
			}
			log.Info("event", "event", condition.name, "type", eventType, "reason", current.Reason,
				"object", key.String(), "gateway", gatewayOf(&ancestor.AncestorRef, key.Namespace).String(),
				"message", current.Message)
		}
	}
}

// entryOf are the conditions of our entry for that ancestor.
func entryOf(
	ancestors []gatewayv1.PolicyAncestorStatus, ref *gatewayv1.ParentReference, namespace string,
) []metav1.Condition {
	for i := range ancestors {
		if ancestors[i].ControllerName == gwapi.ControllerName &&
			gwapi.SameParentRef(&ancestors[i].AncestorRef, ref, namespace) {
			return ancestors[i].Conditions
		}
	}
	return nil
}

func gatewayOf(ref *gatewayv1.ParentReference, namespace string) gwapi.Key {
	key := gwapi.KeyOf(gwapi.KindGateway, namespace, string(ref.Name))
	if ref.Namespace != nil {
		key.Namespace = string(*ref.Namespace)
	}
	if ref.Kind != nil {
		key.Kind = gwapi.Kind(*ref.Kind)
	}
	return key
}
