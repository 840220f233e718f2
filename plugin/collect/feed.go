package collect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// errAgain says that a list has to be made anew: the watch cannot be taken up
// where it ended.
var errAgain = errors.New("list again")

// feed follows one kind in one namespace, or one object.
type feed struct {
	follower *Follower
	key      feedKey
	stop     context.CancelFunc
	// answered is closed once there is an answer, be it a refusal.
	answered chan struct{}
	first    sync.Once
	// used says that it was asked for since the last Sweep. The follower's lock
	// guards it.
	used bool
	// failures counts those without a success between; only run looks at it.
	failures int

	lock sync.Mutex
	// objects are nil before a list succeeded.
	objects map[client.ObjectKey]client.Object
	// refusal is why there are no objects: forbidden, or not served.
	refusal error
	failing *Outage
	// polled says that it cannot be watched.
	polled bool
}

func newFeed(follower *Follower, key feedKey) *feed {
	return &feed{follower: follower, key: key, answered: make(chan struct{})}
}

// state is what is known.
func (f *feed) state() (map[client.ObjectKey]client.Object, error) {
	f.lock.Lock()
	defer f.lock.Unlock()
	switch {
	case f.refusal != nil:
		return nil, f.refusal
	case f.objects == nil && f.failing != nil:
		return nil, f.failing.Err
	default:
		return maps.Clone(f.objects), nil
	}
}

func (f *feed) outage() *Outage {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.failing
}

func (f *feed) isPolled() bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	return f.polled
}

// resource is what to call it: the plural with its group.
func (f *feed) resource() string {
	if known, found := resourceOf(gwapi.Kind(f.key.gvk.Kind)); found {
		return known.qualified()
	}
	return strings.ToLower(f.key.gvk.Kind) + "s"
}

// run lists and watches until ctx ends.
func (f *feed) run(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := f.list(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			f.follow(ctx, version)
		case definite(err):
			f.refuse(err)
			f.sleep(ctx, f.follower.pace.Poll)
		default:
			f.fail(err)
			f.sleep(ctx, f.backoff())
		}
	}
}

// definite says whether an error is an answer, and no failure to give one.
func definite(err error) bool { return apierrors.IsForbidden(err) || apierrors.IsNotFound(err) }

// list reads everything and says from which version to watch; "" for an object
// that may be got and not listed.
func (f *feed) list(ctx context.Context) (version string, err error) {
	objects := map[client.ObjectKey]client.Object{}
	options := client.ListOptions{Namespace: f.key.namespace, FieldSelector: f.selector(), Limit: chunk}
	for {
		list, err := f.newList()
		if err != nil {
			return "", err
		}
		err = f.page(ctx, list, &options)
		switch {
		case err != nil && options.Continue != "" && apierrors.IsResourceExpired(err):
			objects, options.Limit, options.Continue = map[client.ObjectKey]client.Object{}, 0, ""
			continue
		case apierrors.IsForbidden(err) && f.key.name != "":
			return "", f.get(ctx)
		case err != nil:
			return "", err
		}
		items, err := meta.ExtractList(list)
		if err != nil {
			return "", err
		}
		for _, item := range items {
			if object, ok := item.(client.Object); ok {
				objects[client.ObjectKeyFromObject(object)] = f.stripped(object)
			}
		}
		options.Continue = list.GetContinue()
		if options.Continue == "" {
			f.replace(objects)
			return list.GetResourceVersion(), nil
		}
	}
}

// page reads a part of a list, in bounded time.
func (f *feed) page(ctx context.Context, into client.ObjectList, options *client.ListOptions) error {
	ctx, cancel := context.WithTimeout(ctx, f.follower.pace.Patience)
	defer cancel()
	return f.follower.client.List(ctx, into, options)
}

// get reads the one object.
func (f *feed) get(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, f.follower.pace.Patience)
	defer cancel()
	object, err := f.newObject()
	if err != nil {
		return err
	}
	key := client.ObjectKey{Namespace: f.key.namespace, Name: f.key.name}
	err = f.follower.client.Get(ctx, key, object)
	switch {
	case apierrors.IsNotFound(err):
		f.replace(map[client.ObjectKey]client.Object{})
		return nil
	case err != nil:
		return err
	}
	f.replace(map[client.ObjectKey]client.Object{key: f.stripped(object)})
	return nil
}

func (f *feed) selector() fields.Selector {
	if f.key.name != "" {
		return fields.OneTermEqualSelector(metav1.ObjectNameField, f.key.name)
	}
	if f.key.fields == "" {
		return nil
	}
	return fields.ParseSelectorOrDie(f.key.fields) // It is the text of a parsed one.
}

// stripped is the object without what nobody here reads.
func (f *feed) stripped(object client.Object) client.Object {
	kind := gwapi.Kind(f.key.gvk.Kind)
	if kind != gwapi.KindBackendTLSPolicy && kind != gwapi.KindConfigMap {
		object.SetManagedFields(nil)
	}
	return object
}

// typed says whether the kind is followed in its Go type.
func (f *feed) typed() bool { return f.follower.client.Scheme().Recognizes(f.key.gvk) }

func (f *feed) newObject() (client.Object, error) {
	if !f.typed() {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(f.key.gvk)
		return object, nil
	}
	created, err := f.follower.client.Scheme().New(f.key.gvk)
	if err != nil {
		return nil, err
	}
	object, ok := created.(client.Object)
	if !ok {
		return nil, fmt.Errorf("%s is no object", f.key.gvk)
	}
	return object, nil
}

func (f *feed) newList() (client.ObjectList, error) {
	kind := schema.GroupVersionKind{Group: f.key.gvk.Group, Version: f.key.gvk.Version, Kind: f.key.gvk.Kind + "List"}
	if !f.typed() {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		return list, nil
	}
	created, err := f.follower.client.Scheme().New(kind)
	if err != nil {
		return nil, err
	}
	list, ok := created.(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%s is no list", kind)
	}
	return list, nil
}

// follow watches from a version on, again and again, until a new list is needed.
// What cannot be watched is listed again after a while.
func (f *feed) follow(ctx context.Context, version string) {
	for ctx.Err() == nil {
		if version == "" {
			f.poll(ctx)
			return
		}
		begin := time.Now()
		next, err := f.watch(ctx, version)
		version = next
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && time.Since(begin) > f.follower.pace.Retry:
			// API servers end watches from time to time.
		case err == nil:
			f.sleep(ctx, f.follower.pace.Retry)
		case errors.Is(err, errAgain):
			f.sleep(ctx, f.backoff()/2)
			return
		case apierrors.IsNotFound(err):
			f.sleep(ctx, f.follower.pace.Retry) // The kind is not served any more; the list says it.
			return
		case apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err):
			f.poll(ctx)
			return
		default:
			f.fail(err)
			f.sleep(ctx, f.backoff())
		}
	}
}

// poll waits for the time of the next look.
func (f *feed) poll(ctx context.Context) {
	f.lock.Lock()
	was := f.polled
	f.polled = true
	f.lock.Unlock()
	if !was {
		f.follower.changed()
	}
	f.sleep(ctx, f.follower.pace.Poll)
}

// watch takes in changes until the watch ends, and says where to go on.
func (f *feed) watch(ctx context.Context, version string) (next string, err error) {
	list, err := f.newList()
	if err != nil {
		return version, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A server that takes the connection and stays silent is none.
	impatient := time.AfterFunc(f.follower.pace.Patience, cancel)
	// Minutes are from 5 to 10, as client-go's reflectors have them, so that an API
	// server that ends them does not end all at once.
	seconds := int64(300 + rand.N(300)) //nolint:gosec // Chance is no secret here.
	stream, err := f.follower.client.Watch(ctx, list, &client.ListOptions{
		Namespace: f.key.namespace, FieldSelector: f.selector(),
		Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true, TimeoutSeconds: &seconds},
	})
	inTime := impatient.Stop()
	switch {
	case err != nil && !inTime:
		return version, fmt.Errorf("watching %s: no answer within %s", f.resource(), f.follower.pace.Patience)
	case err != nil:
		return version, again(err)
	}
	defer stream.Stop()
	f.watched()
	for event := range stream.ResultChan() {
		object, ok := event.Object.(client.Object)
		if event.Type == watch.Error || !ok {
			return version, again(apierrors.FromObject(event.Object))
		}
		version = object.GetResourceVersion()
		f.take(event.Type, object)
	}
	return version, nil
}

// again turns the errors after which a list helps into errAgain: the version is
// too old, or one that this API server has never seen.
func again(err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) ||
		apierrors.HasStatusCause(err, metav1.CauseTypeResourceVersionTooLarge) {
		return fmt.Errorf("%w: %w", errAgain, err)
	}
	return err
}
