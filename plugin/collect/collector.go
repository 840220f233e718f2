package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

const (
	// chunk is how many objects one answer to a list holds.
	chunk = 500
	// workers is how many requests are under way at once.
	workers = 8
)

// NoSecrets is why Secrets are unseen.
const NoSecrets = "this program never reads Secrets"

// collector reads a cluster.
type collector struct {
	config ClusterConfig

	// lock guards everything below.
	lock    sync.Mutex
	objects map[gwapi.Key]client.Object
	// unseen are as in a Snapshot.
	unseen map[snapshot.Scope]string
	// unserved are the kinds that the cluster does not serve.
	unserved map[gwapi.Kind]bool
	// refusals are what the API server did not allow.
	refusals []refusal
	// tried are the objects that were asked for by name; those without a name
	// stand for a list in their namespace.
	tried map[gwapi.Key]bool
	// ownRoots says that this program's roots stand in for the cluster's, which
	// may not be read.
	ownRoots bool
}

func newCollector(config ClusterConfig) *collector {
	return &collector{
		config:  config,
		objects: map[gwapi.Key]client.Object{},
		unseen: map[snapshot.Scope]string{
			{Kind: gwapi.KindSecret}: NoSecrets,
		},
		unserved: map[gwapi.Kind]bool{},
		tried:    map[gwapi.Key]bool{},
	}
}

// listAll lists every kind that is listed as a whole.
func (c *collector) listAll(ctx context.Context) error {
	var pending []gwapi.Key
	for _, known := range listed {
		if known.kind == gwapi.KindEndpointSlice && !c.config.AllNamespaces {
			continue // Only of the namespaces in question, once those are known.
		}
		pending = append(pending, gwapi.Key{Kind: known.kind})
	}
	return c.readAll(ctx, pending)
}

// readAll reads what is pending, workers at once: lists where no name is given,
// else single objects. The error is that of the first one that fails, in order.
func (c *collector) readAll(ctx context.Context, pending []gwapi.Key) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	faults := make([]error, len(pending))
	queue := make(chan int, len(pending))
	for i := range pending {
		queue <- i
	}
	close(queue)
	var running sync.WaitGroup
	done := 0
	for range min(workers, len(pending)) {
		running.Go(func() {
			for i := range queue {
				if ctx.Err() != nil {
					return
				}
				if faults[i] = c.read(ctx, pending[i]); faults[i] != nil {
					cancel()
					return
				}
				c.lock.Lock()
				done++
				if c.config.Progress != nil {
					c.config.Progress(fmt.Sprintf("%d of %d", done, len(pending)))
				}
				c.lock.Unlock()
			}
		})
	}
	running.Wait()
	// What was cancelled because of another one's failure is no cause.
	first := slices.IndexFunc(faults, func(err error) bool { return err != nil && !errors.Is(err, context.Canceled) })
	if first >= 0 {
		return faults[first]
	}
	if i := slices.IndexFunc(faults, func(err error) bool { return err != nil }); i >= 0 {
		return faults[i]
	}
	return ctx.Err()
}

// read reads one pending object or list.
func (c *collector) read(ctx context.Context, key gwapi.Key) error {
	known, found := resourceOf(key.Kind)
	switch {
	case !found:
		return nil
	case key.Name != "":
		return c.get(ctx, known, key)
	case key.Namespace != "":
		return c.listNamespace(ctx, known, key.Namespace)
	default:
		return c.listEverywhere(ctx, known)
	}
}

// listEverywhere lists a kind in all namespaces, else in the one that the
// person is bound to.
func (c *collector) listEverywhere(ctx context.Context, known resource) error {
	objects, err := c.list(ctx, known, "")
	if err == nil {
		c.keep(known.kind, objects)
		return nil
	}
	if !apierrors.IsForbidden(err) {
		return c.unservedOr(known, err)
	}
	if known.cluster {
		c.refuse(refusal{verb: "list", resource: known}, err)
		return nil
	}
	narrower, inNamespace := c.list(ctx, known, c.config.Namespace)
	switch {
	case inNamespace == nil:
		c.refuse(refusal{verb: "list", resource: known, fallback: c.config.Namespace}, err)
		c.keep(known.kind, narrower)
		return nil
	case apierrors.IsForbidden(inNamespace):
		c.refuse(refusal{verb: "list", resource: known}, err)
		return nil
	default:
		return c.unservedOr(known, inNamespace)
	}
}

// listNamespace lists a kind in one namespace.
func (c *collector) listNamespace(ctx context.Context, known resource, namespace string) error {
	objects, err := c.list(ctx, known, namespace)
	switch {
	case err == nil:
		c.keep(known.kind, objects)
		c.lock.Lock()
		c.unseen[snapshot.Scope{Kind: known.kind, Namespace: namespace}] = ""
		c.lock.Unlock()
		return nil
	case apierrors.IsForbidden(err):
		c.refuse(refusal{verb: "list", resource: known, namespace: namespace}, err)
		return nil
	default:
		return c.unservedOr(known, err)
	}
}

// get reads one object. One that does not exist is simply not there.
func (c *collector) get(ctx context.Context, known resource, key gwapi.Key) error {
	object := known.new()
	err := c.config.Client.Get(ctx, key.NamespacedName(), object)
	switch {
	case err == nil:
		c.keep(known.kind, []client.Object{object})
		return nil
	case key == systemRoots && (apierrors.IsNotFound(err) || apierrors.IsForbidden(err)):
		c.standInRoots(err)
		return nil
	case apierrors.IsNotFound(err):
		// No object, or, where the server names none, no such kind.
		if apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
			return c.unservedOr(known, err)
		}
		return nil
	case apierrors.IsForbidden(err):
		c.refuse(refusal{verb: "get", resource: known, namespace: key.Namespace, name: key.Name}, err)
		return nil
	default:
		return fmt.Errorf("getting %s: %w", key, err)
	}
}

// unservedOr notes a kind that the cluster does not serve; any other fault is
// returned.
func (c *collector) unservedOr(known resource, err error) error {
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("listing %s: %w", known.qualified(), err)
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.unserved[known.kind] = true
	return nil
}

// lacksGatewayAPI says whether the cluster serves no kind of Gateway API at all.
// A kind that may not be listed may be there.
func (c *collector) lacksGatewayAPI() bool {
	for _, known := range listed {
		if known.kind.Group() == gatewayv1.GroupName && !c.unserved[known.kind] {
			return false
		}
	}
	return true
}

// list lists a kind in a namespace, "" for all, in the newest version that the
// cluster serves.
func (c *collector) list(ctx context.Context, known resource, namespace string) ([]client.Object, error) {
	objects, err := c.pages(ctx, namespace, known.list)
	for _, older := range known.older {
		if err == nil || !apierrors.IsNotFound(err) {
			return objects, err
		}
		gvk := schema.GroupVersionKind{Group: known.kind.Group(), Version: older, Kind: string(known.kind) + "List"}
		objects, err = c.pages(ctx, namespace, func() client.ObjectList {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(gvk)
			return list
		})
		if err == nil {
			return converted(known, objects)
		}
	}
	return objects, err
}

// pages lists in chunks. A list whose continuation has expired is begun again,
// in one piece.
func (c *collector) pages(
	ctx context.Context, namespace string, create func() client.ObjectList,
) ([]client.Object, error) {
	var objects []client.Object
	limit, from := int64(chunk), ""
	for {
		list := create()
		err := c.config.Client.List(ctx, list, client.InNamespace(namespace), client.Limit(limit), client.Continue(from))
		if err != nil && from != "" && apierrors.IsResourceExpired(err) {
			objects, limit, from = nil, 0, ""
			continue
		}
		if err != nil {
			return nil, err
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return nil, err
		}
		for _, item := range items {
			if object, ok := item.(client.Object); ok {
				objects = append(objects, object)
			}
		}
		if from = list.GetContinue(); from == "" {
			return objects, nil
		}
	}
}

// converted reads objects of an older version as far as their fields agree with
// the newest.
func converted(known resource, objects []client.Object) ([]client.Object, error) {
	for i, object := range objects {
		older, ok := object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		newest := known.new()
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(older.Object, newest); err != nil {
			return nil, fmt.Errorf("%s/%s of %s: %w", object.GetNamespace(), object.GetName(), older.GetAPIVersion(), err)
		}
		objects[i] = newest
	}
	return objects, nil
}

// keep keeps objects, without what nobody here reads.
func (c *collector) keep(kind gwapi.Kind, objects []client.Object) {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, object := range objects {
		if kind != gwapi.KindBackendTLSPolicy && kind != gwapi.KindConfigMap {
			object.SetManagedFields(nil) // Only of what the verbs write do they say anything.
		}
		c.objects[gwapi.KeyOf(kind, object.GetNamespace(), object.GetName())] = object
	}
}

// snapshot is what was read so far.
func (c *collector) snapshot() *snapshot.Snapshot {
	snap := &snapshot.Snapshot{
		Unseen:             maps.Clone(c.unseen),
		TrustBundlesServed: !c.unserved[gwapi.KindClusterTrustBundle],
	}
	byKind := map[gwapi.Kind][]client.Object{}
	for key, object := range c.objects {
		byKind[key.Kind] = append(byKind[key.Kind], object)
	}
	for kind, objects := range byKind {
		fill(snap, kind, objects)
	}
	return snap
}

// refusal is one thing that the API server did not allow.
type refusal struct {
	verb     string
	resource resource
	// namespace is "" for all of them, or for a kind without.
	namespace string
	// name is "" for a list.
	name string
	// fallback is the namespace that was listed instead of all; "" for none.
	fallback string
}

// refuse records what was not allowed.
func (c *collector) refuse(r refusal, err error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.refusals = append(c.refusals, r)
	reason := "you may not " + r.verb + " " + r.resource.qualified()
	var status apierrors.APIStatus
	if errors.As(err, &status) && status.Status().Message != "" {
		reason = strings.TrimSpace(status.Status().Message)
	}
	scope := snapshot.Scope{Kind: r.resource.kind, Namespace: r.namespace}
	if r.name == "" || c.unseen[scope] == "" {
		// What may not be listed is why a name had to be tried.
		c.unseen[scope] = reason
	}
	if r.fallback != "" {
		c.unseen[snapshot.Scope{Kind: r.resource.kind, Namespace: r.fallback}] = ""
	}
}
