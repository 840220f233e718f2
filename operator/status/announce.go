package status

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// announce logs each change of a policy's SecurityDegraded once it is written.
// That a policy is not degraded is no news unless it was.
func (w *Writer) announce(key gwapi.Key, was, now report.Report) {
	for i := range now.Ancestors {
		ancestor := &now.Ancestors[i]
		if ancestor.ControllerName != gwapi.ControllerName {
			continue
		}
		current := meta.FindStatusCondition(ancestor.Conditions, report.PolicySecurityDegraded)
		if current == nil {
			continue
		}
		last := meta.FindStatusCondition(entryOf(was.Ancestors, &ancestor.AncestorRef, key.Namespace),
			report.PolicySecurityDegraded)
		if last == nil && current.Status != metav1.ConditionTrue ||
			last != nil && last.Status == current.Status && last.Reason == current.Reason {
			continue
		}
		gateway, _ := gwapi.ParentKey(&ancestor.AncestorRef, key.Namespace)
		w.config.Log.Info("SecurityDegraded has changed", "object", key.String(), "gateway", gateway.String(),
			"status", string(current.Status), "reason", current.Reason, "message", current.Message)
	}
}
