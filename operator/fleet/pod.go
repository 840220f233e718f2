package fleet

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// pod is one that may run an Envoy.
type pod struct {
	uid            types.UID
	serviceAccount string
	// set is the ReplicaSet that controls it.
	set *metav1.OwnerReference
	// started says that its Envoy has run, ended that nothing of it runs any more.
	started, ended bool
	// identified says that it has shown a token of its own, so that its Envoy
	// runs whatever its status says by now.
	identified bool
}

// seePod takes in a pod that appeared, changed or went away.
func (f *Fleet) seePod(seen *corev1.Pod, gone bool) {
	name := client.ObjectKeyFromObject(seen)
	labels := seen.GetLabels()
	f.mu.Lock()
	before := f.observed.pods[name]
	if gone || labels[LabelName] != EnvoyName {
		if gone && before != nil && before.uid != seen.UID {
			f.mu.Unlock()
			return
		}
		delete(f.observed.pods, name)
		f.mu.Unlock()
		if before != nil {
			notify(f.changes)
		}
		return
	}
	now := &pod{
		uid:            seen.UID,
		serviceAccount: seen.Spec.ServiceAccountName,
		set:            metav1.GetControllerOf(seen),
		started:        hasStarted(seen),
		ended:          seen.Status.Phase == corev1.PodSucceeded || seen.Status.Phase == corev1.PodFailed,
	}
	if before != nil && before.uid == now.uid {
		now.identified = before.identified
		// Kubelet may forget what a container was; Envoy has run all the same.
		now.started = now.started || before.started
	} else {
		close(f.observed.arrived)
		f.observed.arrived = make(chan struct{})
	}
	f.observed.pods[name] = now
	f.mu.Unlock()
	if before == nil || before.uid != now.uid || before.runs() != now.runs() {
		notify(f.changes)
	}
}

// hasStarted says whether the Envoy container runs or ever ran.
func hasStarted(seen *corev1.Pod) bool {
	for i := range seen.Status.ContainerStatuses {
		status := &seen.Status.ContainerStatuses[i]
		if status.Name != EnvoyContainer {
			continue
		}
		return status.State.Running != nil || status.State.Terminated != nil ||
			status.LastTerminationState.Terminated != nil || status.RestartCount > 0
	}
	return false
}

func (p *pod) runs() bool { return (p.started || p.identified) && !p.ended }

// Envoys names the pods of each Gateway whose Envoy may be running, sorted:
// those whose container has started or which Lookup has identified, terminating
// ones included, until they are gone or nothing of them runs any more. A Gateway
// without any is absent.
func (f *Fleet) Envoys() map[gwapi.Key][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	envoys := map[gwapi.Key][]string{}
	for name, p := range f.observed.pods {
		if key, known := f.serves(name.Namespace, p); known && p.runs() {
			envoys[key] = append(envoys[key], name.Name)
		}
	}
	for _, names := range envoys {
		slices.Sort(names)
	}
	return envoys
}

// envoys are those of one Gateway.
func (f *Fleet) envoys(gateway gwapi.Key) (names []string) {
	for name, p := range f.observed.pods {
		if key, known := f.serves(name.Namespace, p); known && key == gateway && p.runs() {
			names = append(names, name.Name)
		}
	}
	return names
}

// serves is the Gateway of a pod: that of its ServiceAccount, if a ReplicaSet
// controls it. Whether that is one of the fleet's is Lookup's question; here a
// pod too many is said to be waited for, which is the safe side.
func (f *Fleet) serves(namespace string, p *pod) (gwapi.Key, bool) {
	if p.set == nil || p.set.Kind != replicaSetKind.Kind {
		return gwapi.Key{}, false
	}
	key, known := f.names[types.NamespacedName{Namespace: namespace, Name: p.serviceAccount}]
	return key, known
}
