package ledger

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

// Pod is a pod of the operator.
type Pod struct {
	Name string
	UID  types.UID
	// IP is its address, "" while it has none.
	IP string
}

// address is where the pod serves its ledger.
func (p Pod) address(port uint16) string { return net.JoinHostPort(p.IP, strconv.Itoa(int(port))) }

// Peers are the pods of the operator, this replica's own included.
type Peers interface {
	// Pods are those that exist, terminating ones included: they may serve Envoys
	// until they are gone.
	Pods() []Pod
	// Changes gets a value after Pods may have changed.
	Changes() <-chan struct{}
}

// PodsConfig says which pods are the operator's.
type PodsConfig struct {
	// Cache has the pods. If it keeps only some of them, or not all of each, those
	// of the operator must be among them, with UID, labels, spec.serviceAccountName,
	// status.phase and status.podIP. The right to list and watch pods in the
	// operator's namespace is enough.
	Cache cache.Informers
	// Namespace and ServiceAccount are the operator's.
	Namespace, ServiceAccount string
	// Labels are on all its pods.
	Labels map[string]string
}

// Pods are Peers as the API server knows them.
type Pods struct {
	config  PodsConfig
	changes chan struct{}

	mu   sync.Mutex
	pods map[types.UID]Pod
}

// NewPods follows the pods from the time when the cache runs.
func NewPods(ctx context.Context, config PodsConfig) (*Pods, error) {
	p := &Pods{config: config, changes: make(chan struct{}, 1), pods: make(map[types.UID]Pod)}
	informer, err := config.Cache.GetInformer(ctx, &corev1.Pod{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("ledger: following the operator's pods: %w", err)
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    p.put,
		UpdateFunc: func(_, object any) { p.put(object) },
		DeleteFunc: p.drop,
	}); err != nil {
		return nil, fmt.Errorf("ledger: following the operator's pods: %w", err)
	}
	return p, nil
}

// put takes a pod as it is now.
func (p *Pods) put(object any) {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	if !p.ours(pod) {
		p.drop(pod)
		return
	}
	now := Pod{Name: pod.Name, UID: pod.UID, IP: pod.Status.PodIP}
	p.mu.Lock()
	before, known := p.pods[pod.UID]
	p.pods[pod.UID] = now
	p.mu.Unlock()
	if !known || before != now {
		p.changed()
	}
}

// drop forgets a pod.
func (p *Pods) drop(object any) {
	if gone, unseen := object.(toolscache.DeletedFinalStateUnknown); unseen {
		object = gone.Obj
	}
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return
	}
	p.mu.Lock()
	_, known := p.pods[pod.UID]
	delete(p.pods, pod.UID)
	p.mu.Unlock()
	if known {
		p.changed()
	}
}

// ours says whether it is a pod of the operator that has not ended.
func (p *Pods) ours(pod *corev1.Pod) bool {
	return pod.Namespace == p.config.Namespace &&
		pod.Spec.ServiceAccountName == p.config.ServiceAccount &&
		labels.SelectorFromSet(p.config.Labels).Matches(labels.Set(pod.Labels)) &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

func (p *Pods) changed() {
	select {
	case p.changes <- struct{}{}:
	default:
	}
}

// Pods are the operator's pods that have not ended, by name.
func (p *Pods) Pods() []Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	pods := make([]Pod, 0, len(p.pods))
	for _, pod := range p.pods {
		pods = append(pods, pod)
	}
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.UID, b.UID))
	})
	return pods
}

// Changes gets a value after Pods may have changed.
func (p *Pods) Changes() <-chan struct{} { return p.changes }
