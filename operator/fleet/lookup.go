package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// lookupPatience is how long Lookup waits for a pod that it has not heard of
// yet: an Envoy may be faster than the news of it.
const lookupPatience = 3 * time.Second

// replicaSets remembers of ReplicaSets which Deployment controls them. That is
// asked once for each, not for each of its pods and streams.
type replicaSets struct {
	mu         sync.Mutex
	deployment map[types.UID]types.UID
}

// maxReplicaSets bounds what is remembered.
const maxReplicaSets = 10_000

// Lookup says which Gateway a pod serves that has proven who it is. The pod must
// exist with that UID and ServiceAccount, and be controlled by a ReplicaSet of
// the Deployment that the Gateway, as it is now, controls. From then on the pod
// is among Envoys. It waits a little for news that are still under way.
func (f *Fleet) Lookup(namespace, serviceAccount, podName string, uid types.UID) (gwapi.Key, error) {
	name := types.NamespacedName{Namespace: namespace, Name: podName}
	ctx, cancel := context.WithTimeout(context.Background(), lookupPatience)
	defer cancel()
	for {
		claimed, news, err := f.claim(name, serviceAccount, uid)
		if err == nil {
			err = f.confirm(ctx, claimed)
		}
		if err == nil {
			err = f.identified(name, uid)
		}
		if !errors.Is(err, errUnheard) {
			if err != nil {
				return gwapi.Key{}, fmt.Errorf("pod %s: %w", name, err)
			}
			return claimed.gateway.Key, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return gwapi.Key{}, fmt.Errorf("pod %s: %w", name, err)
		}
	}
}

// Known says whether there is an Envoy pod of that name and UID. It is no proof
// of anything: whoever asks has yet to prove to be that pod.
func (f *Fleet) Known(namespace, podName string, uid types.UID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.observed.pods[types.NamespacedName{Namespace: namespace, Name: podName}]
	return p != nil && p.uid == uid
}

// errUnheard says that nobody has spoken of the pod yet.
var errUnheard = errors.New("there is no Envoy pod of that name")

// claim is the Gateway that a pod would serve, and the ReplicaSet that would
// have to be its Deployment's.
type claim struct {
	gateway model.Gateway
	set     metav1.OwnerReference
}

// claim is what is known of a pod; news is closed when another one appears.
func (f *Fleet) claim(
	name types.NamespacedName, serviceAccount string, uid types.UID,
) (claimed claim, news <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	news = f.observed.arrived
	p := f.observed.pods[name]
	switch {
	case p == nil:
		return claimed, news, errUnheard
	case p.uid != uid:
		return claimed, news, fmt.Errorf("its UID is %s, not %s", p.uid, uid)
	case p.serviceAccount != serviceAccount:
		return claimed, news, fmt.Errorf("its ServiceAccount is %q, not %q", p.serviceAccount, serviceAccount)
	case p.set == nil || p.set.Kind != replicaSetKind.Kind || p.set.APIVersion != replicaSetKind.GroupVersion().String():
		return claimed, news, errors.New("no ReplicaSet controls it")
	}
	key, known := f.serves(name.Namespace, p)
	if !known {
		return claimed, news, fmt.Errorf("its ServiceAccount %q is that of no Gateway", serviceAccount)
	}
	return claim{gateway: f.desired[key], set: *p.set}, news, nil
}

// confirm makes sure that a ReplicaSet belongs to the Gateway's Deployment.
func (f *Fleet) confirm(ctx context.Context, claimed claim) error {
	gateway, set := &claimed.gateway, claimed.set
	id := object{deploymentKind, f.place(gateway.Key)}
	f.mu.Lock()
	deployment, exists := f.observed.live[id]
	f.mu.Unlock()
	switch {
	case !exists:
		return fmt.Errorf("there is no Deployment %s of ours", id.name)
	case !deployment.owned(gateway):
		return fmt.Errorf("%s is not controlled by %s", id, gateway.Key)
	}
	controller, err := f.controllerOf(ctx, gateway.Key.Namespace, set)
	if err != nil {
		return err
	}
	if controller != deployment.uid {
		return fmt.Errorf("ReplicaSet %s is not controlled by Deployment %s", set.Name, id.name)
	}
	return nil
}

// controllerOf is the UID of the Deployment that controls a ReplicaSet.
func (f *Fleet) controllerOf(ctx context.Context, namespace string, set metav1.OwnerReference) (types.UID, error) {
	f.sets.mu.Lock()
	deployment, known := f.sets.deployment[set.UID]
	f.sets.mu.Unlock()
	if known {
		return deployment, nil
	}
	found := metadata(replicaSetKind)
	name := types.NamespacedName{Namespace: namespace, Name: set.Name}
	if err := f.config.Client.Get(ctx, name, found); err != nil {
		return "", fmt.Errorf("replicaset %s: %w", set.Name, err)
	}
	controller := metav1.GetControllerOf(found)
	if found.UID != set.UID || controller == nil || controller.Kind != deploymentKind.Kind {
		return "", fmt.Errorf("ReplicaSet %s (UID %s) is not controlled by a Deployment", set.Name, set.UID)
	}
	f.sets.mu.Lock()
	defer f.sets.mu.Unlock()
	if len(f.sets.deployment) >= maxReplicaSets {
		clear(f.sets.deployment)
	}
	f.sets.deployment[set.UID] = controller.UID
	return controller.UID, nil
}

// identified remembers that an Envoy runs in a pod, which must still be there.
func (f *Fleet) identified(name types.NamespacedName, uid types.UID) error {
	f.mu.Lock()
	p := f.observed.pods[name]
	if p == nil || p.uid != uid {
		f.mu.Unlock()
		return errors.New("it is gone")
	}
	before := p.runs()
	p.identified = true
	changed := p.runs() != before
	f.mu.Unlock()
	if changed {
		notify(f.changes)
	}
	return nil
}
