package status

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// unsaid is the news of a write of which nobody knows whether it took place.
type unsaid struct {
	// object is the one that was replaced.
	object  client.Object
	changes []report.Change
}

// announce tells of each change of a policy's SecurityDegraded and
// BackendsVerified once it is written. A write replaces one version of the
// object, so that of two replicas, or of two attempts, one tells.
func (w *Writer) announce(key gwapi.Key, object client.Object, changes []report.Change) {
	for i := range changes {
		w.config.Log.Info("event", changes[i].Attributes(key)...)
	}
	if len(changes) > 0 && w.config.Tell != nil {
		w.config.Tell(object, changes)
	}
}

// announceLate tells what an earlier write without an answer has changed, if the
// object shows it: only one replica leads, so nobody else has written it.
func (w *Writer) announceLate(key gwapi.Key, t *track, live report.Report, version string) {
	if t.unsaid == nil || t.unsaid.object.GetResourceVersion() == version {
		return
	}
	said := slices.DeleteFunc(t.unsaid.changes, func(change report.Change) bool { return !shows(key, live, &change) })
	w.announce(key, t.unsaid.object, said)
	t.unsaid = nil
}

// shows says whether the status says what changed.
func shows(key gwapi.Key, live report.Report, change *report.Change) bool {
	for i := range live.Ancestors {
		ancestor := &live.Ancestors[i]
		gateway, _ := gwapi.ParentKey(&ancestor.AncestorRef, key.Namespace)
		if ancestor.ControllerName != gwapi.ControllerName || gateway != change.Gateway {
			continue
		}
		condition := meta.FindStatusCondition(ancestor.Conditions, change.Condition)
		return condition != nil && condition.Status == change.Status && condition.Reason == change.Reason
	}
	return change.Status == metav1.ConditionStatus("")
}
