package collect

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Pace is how long a Follower waits for things.
type Pace struct {
	// Poll is the time between two looks at what cannot be watched, and at what
	// may not be read.
	Poll time.Duration
	// Retry is the first wait after an API server did not answer; it doubles up to
	// RetryMost.
	Retry, RetryMost time.Duration
	// Patience bounds one request, and how long a watch may take to begin.
	Patience time.Duration
}

// UsualPace is what people who look at a screen want.
func UsualPace() Pace {
	return Pace{
		Poll: 30 * time.Second, Retry: 500 * time.Millisecond, RetryMost: 5 * time.Second, Patience: 20 * time.Second,
	}
}

// Follower is a client.Reader of what was asked of it before: the first list of a
// kind in a namespace, or the first get of a name, begins to follow that by a list
// and a watch, and from then on the answer costs no request. So Cluster can be
// run over it again after every change. A refusal, and that a kind is not served,
// are remembered too, and looked at again from time to time. While the API
// server is away, answers are the last ones; Outage says so.
//
// What it returns is shared as far as it lies behind pointers, slices and maps:
// it is for reading.
type Follower struct {
	client client.WithWatch
	pace   Pace
	// begin starts a feed, until the Follower's context ends or the feed is stopped.
	begin   func(*feed)
	running sync.WaitGroup
	changes chan struct{}

	lock  sync.Mutex
	feeds map[feedKey]*feed
}

// feedKey is what one list and watch is about.
type feedKey struct {
	gvk       schema.GroupVersionKind
	namespace string
	// name is of one object, "" for all.
	name string
	// fields is a field selector, "" for none.
	fields string
}

// Outage is an API server that does not answer as it should.
type Outage struct {
	// Since is when the first of the failures happened that still last.
	Since time.Time
	Err   error
}

// NewFollower follows until ctx ends. The client's requests must not time out as
// a whole, or watches would. Wait returns when nothing is under way any more.
func NewFollower(ctx context.Context, reader client.WithWatch, pace Pace) *Follower {
	f := &Follower{
		client: reader, pace: pace, changes: make(chan struct{}, 1), feeds: map[feedKey]*feed{},
	}
	f.begin = func(one *feed) {
		ctx, cancel := context.WithCancel(ctx)
		one.stop = cancel
		f.running.Go(func() {
			defer cancel()
			one.run(ctx)
		})
	}
	return f
}

// Wait waits, after the context has ended, until everything has.
func (f *Follower) Wait() { f.running.Wait() }

// Changes gets a value after something changed of what was asked.
func (f *Follower) Changes() <-chan struct{} { return f.changes }

func (f *Follower) changed() {
	select {
	case f.changes <- struct{}{}:
	default: // One is waiting to be read, which covers this change too.
	}
}

// Get reads one object, which is followed from then on.
func (f *Follower) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	gvk, err := apiutil.GVKForObject(into, f.client.Scheme())
	if err != nil {
		return err
	}
	objects, err := f.answer(ctx, feedKey{gvk: gvk, namespace: key.Namespace, name: key.Name})
	if err != nil {
		return err
	}
	found, present := objects[key]
	if !present {
		return apierrors.NewNotFound(schema.GroupResource{Group: gvk.Group, Resource: strings.ToLower(gvk.Kind)}, key.Name)
	}
	target, source := reflect.ValueOf(into).Elem(), reflect.ValueOf(found).Elem()
	if target.Type() != source.Type() {
		return fmt.Errorf("%s is followed as a %s, not as a %s", gvk, source.Type(), target.Type())
	}
	target.Set(source)
	return nil
}

// List reads a kind, which is followed from then on. Everything comes in one
// piece, sorted by namespace and name; label selectors are not known.
func (f *Follower) List(ctx context.Context, into client.ObjectList, options ...client.ListOption) error {
	gvk, err := apiutil.GVKForObject(into, f.client.Scheme())
	if err != nil {
		return err
	}
	gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	asked := (&client.ListOptions{}).ApplyOptions(options)
	key := feedKey{gvk: gvk, namespace: asked.Namespace}
	if asked.FieldSelector != nil {
		key.fields = asked.FieldSelector.String()
	}
	objects, err := f.answer(ctx, key)
	if err != nil {
		return err
	}
	sorted := slices.SortedFunc(maps.Values(objects), func(a, b client.Object) int {
		return compareNames(client.ObjectKeyFromObject(a), client.ObjectKeyFromObject(b))
	})
	items := make([]runtime.Object, len(sorted))
	for i, object := range sorted {
		items[i] = object
	}
	into.SetContinue("")
	return meta.SetList(into, items)
}

func compareNames(a, b client.ObjectKey) int {
	if order := strings.Compare(a.Namespace, b.Namespace); order != 0 {
		return order
	}
	return strings.Compare(a.Name, b.Name)
}

// answer is what is known, as soon as anything is.
func (f *Follower) answer(ctx context.Context, key feedKey) (map[client.ObjectKey]client.Object, error) {
	f.lock.Lock()
	one, known := f.feeds[key]
	if !known {
		one = newFeed(f, key)
		f.feeds[key] = one
		f.begin(one)
	}
	one.used = true
	f.lock.Unlock()
	select {
	case <-one.answered:
		return one.state()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Sweep ends what was not asked for since the last Sweep.
func (f *Follower) Sweep() {
	f.lock.Lock()
	defer f.lock.Unlock()
	for key, one := range f.feeds {
		if !one.used {
			one.stop()
			delete(f.feeds, key)
		}
		one.used = false
	}
}

// Outage is the failure that lasts longest, nil where everything is answered.
func (f *Follower) Outage() *Outage {
	var first *Outage
	for _, one := range f.sorted() {
		if outage := one.outage(); outage != nil && (first == nil || outage.Since.Before(first.Since)) {
			first = outage
		}
	}
	return first
}

// Warnings say what cannot be watched.
func (f *Follower) Warnings() []string {
	var polled []string
	for _, one := range f.sorted() {
		if one.isPolled() {
			polled = append(polled, one.resource())
		}
	}
	if len(polled) == 0 {
		return nil
	}
	slices.Sort(polled)
	return []string{fmt.Sprintf("%s cannot be watched (that needs the verb watch): changes of those are noticed "+
		"up to %s late", strings.Join(slices.Compact(polled), ", "), f.pace.Poll)}
}

func (f *Follower) sorted() []*feed {
	f.lock.Lock()
	defer f.lock.Unlock()
	return slices.Collect(maps.Values(f.feeds))
}
