package fleet

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// settling is how long a change of somebody else's is left alone.
const settling = 200 * time.Millisecond

// object names one of a fleet's objects.
type object struct {
	kind schema.GroupVersionKind
	name types.NamespacedName
}

// observed is what of all fleets is in the cluster.
type observed struct {
	live map[object]live
	pods map[types.NamespacedName]*pod
	// arrived is closed, and replaced, when a pod appears.
	arrived chan struct{}
	// addresses are those of the Services.
	addresses map[types.NamespacedName][]string
	// unstarted says of Deployments why they cannot make pods.
	unstarted map[types.NamespacedName]string
}

// live is an object as it was last seen.
type live struct {
	uid             types.UID
	resourceVersion string
	leaving         bool
	labels          map[string]string
	controller      *metav1.OwnerReference
	// print is the same as long as nobody but the cluster's own status changed it.
	print string
}

func newObserved() observed {
	return observed{
		live:      map[object]live{},
		pods:      map[types.NamespacedName]*pod{},
		arrived:   make(chan struct{}),
		addresses: map[types.NamespacedName][]string{},
		unstarted: map[types.NamespacedName]string{},
	}
}

// follow begins to listen to everything in Selection and returns once all that
// exists has been seen; stop ends it.
func (f *Fleet) follow(ctx context.Context) (stop func(), err error) {
	type registration struct {
		informer interface {
			RemoveEventHandler(toolscache.ResourceEventHandlerRegistration) error
		}
		handle toolscache.ResourceEventHandlerRegistration
	}
	var registered []registration
	stop = func() {
		for _, r := range registered {
			// The error says that the informer has ended.
			_ = r.informer.RemoveEventHandler(r.handle)
		}
	}
	synced := make([]toolscache.InformerSynced, 0, len(Selection()))
	for kind := range Selection() {
		informer, err := f.config.Cache.GetInformer(ctx, kind)
		if err != nil {
			return stop, err
		}
		handle, err := informer.AddEventHandler(f.handler())
		if err != nil {
			return stop, err
		}
		registered = append(registered, registration{informer, handle})
		synced = append(synced, handle.HasSynced)
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		return stop, errors.New("ended before everything was seen")
	}
	return stop, nil
}

func (f *Fleet) handler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(seen any) { f.see(seen, false) },
		UpdateFunc: func(_, seen any) { f.see(seen, false) },
		DeleteFunc: func(seen any) {
			if unknown, missed := seen.(toolscache.DeletedFinalStateUnknown); missed {
				seen = unknown.Obj
			}
			f.see(seen, true)
		},
	}
}

// see takes in an object that appeared, changed or went away.
func (f *Fleet) see(seen any, gone bool) {
	found, isObject := seen.(client.Object)
	if !isObject {
		return
	}
	if p, isPod := found.(*corev1.Pod); isPod {
		f.seePod(p, gone)
		return
	}
	id, ours := identify(found)
	if !ours {
		// Nobody strips an object of its labels without being noticed: that is a
		// change of one that was ours.
		f.mu.Lock()
		_, known := f.observed.live[id]
		f.mu.Unlock()
		if !known {
			return
		}
		gone = true
	}
	f.mu.Lock()
	key, desired := f.names[id.name]
	if gone {
		delete(f.observed.live, id)
		delete(f.applied, id)
	} else {
		now := describe(found)
		f.observed.live[id] = now
		if last, known := f.applied[id]; known && last.resourceVersion == now.resourceVersion {
			last.print = now.print
			f.applied[id] = last
		}
	}
	changed := f.seeDetails(found, id, gone)
	f.mu.Unlock()
	if desired {
		// What somebody else changes again and again is not set right more often
		// than this.
		f.queue.AddAfter(key, settling)
	}
	if changed {
		notify(f.changes)
	}
}

// seeDetails takes in what is wanted of a kind besides its metadata.
func (f *Fleet) seeDetails(found client.Object, id object, gone bool) (changed bool) {
	switch typed := found.(type) {
	case *corev1.Service:
		addresses := serviceAddresses(typed)
		if gone {
			addresses = nil
		}
		changed = !slices.Equal(f.observed.addresses[id.name], addresses)
		if len(addresses) == 0 {
			delete(f.observed.addresses, id.name)
		} else {
			f.observed.addresses[id.name] = addresses
		}
	case *appsv1.Deployment:
		why := unstarted(typed)
		if gone {
			why = ""
		}
		changed = f.observed.unstarted[id.name] != why
		if why == "" {
			delete(f.observed.unstarted, id.name)
		} else {
			f.observed.unstarted[id.name] = why
		}
	}
	return changed
}

// identify says which object it is, and whether its labels say that it is of a
// fleet.
func identify(found client.Object) (id object, ours bool) {
	id.name = client.ObjectKeyFromObject(found)
	switch typed := found.(type) {
	case *corev1.Service:
		id.kind = serviceKind
	case *appsv1.Deployment:
		id.kind = deploymentKind
	case *metav1.PartialObjectMetadata:
		id.kind = typed.GroupVersionKind()
	}
	labels := found.GetLabels()
	return id, labels[LabelName] == EnvoyName && labels[LabelManagedBy] == OperatorName
}

// unstarted is why a Deployment cannot make pods: admission and quota refuse
// them to its ReplicaSet, not to whoever writes the Deployment.
func unstarted(deployment *appsv1.Deployment) string {
	for _, condition := range deployment.Status.Conditions {
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return "deployment/" + deployment.Namespace + "/" + deployment.Name + " cannot make pods: " + condition.Message
		}
	}
	return ""
}

// serviceAddresses are where clients reach a Service: what its load balancer
// has, or, where it has none by type, its cluster addresses.
func serviceAddresses(service *corev1.Service) []string {
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		return slices.DeleteFunc(slices.Clone(service.Spec.ClusterIPs), func(address string) bool {
			_, err := netip.ParseAddr(address)
			return err != nil // "None"
		})
	}
	var addresses []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			addresses = append(addresses, ingress.IP)
		} else if ingress.Hostname != "" {
			addresses = append(addresses, ingress.Hostname)
		}
	}
	return addresses
}

// Addresses are where each Gateway is reached: IP addresses and host names of
// its Service. A Gateway without any is absent.
func (f *Fleet) Addresses() map[gwapi.Key][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	addresses := map[gwapi.Key][]string{}
	for key, gateway := range f.desired {
		place := f.place(key)
		id := object{serviceKind, place}
		if list := f.observed.addresses[place]; len(list) > 0 && f.observed.live[id].owned(&gateway) {
			addresses[key] = slices.Clone(list)
		}
	}
	return addresses
}

// owned says whether the Gateway is the controller of an object.
func (l live) owned(gateway *model.Gateway) bool {
	return l.controller != nil && l.controller.Kind == string(gwapi.KindGateway) &&
		l.controller.APIVersion == gatewayv1.GroupVersion.String() &&
		l.controller.Name == gateway.Key.Name && l.controller.UID == types.UID(gateway.Fleet.Owner)
}
