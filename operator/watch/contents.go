package watch

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// contents are the Secrets and ConfigMaps: of all of them the version, of those
// that are named what is in them. The Source's lock guards it.
type contents struct {
	source *Source
	// versions are the resourceVersions of all that exist.
	versions map[gwapi.Key]string
	// entries are those that exist and are named.
	entries map[gwapi.Key]*entry
	// learned counts what was learned of entries; taken is how much of it the
	// last Snapshot has.
	learned, taken uint64

	// weights are how many bytes of each namespace are kept, at most budget.
	weights map[string]int
	budget  int

	orders chan struct{}
	queue  []order
}

// namespaceBudget is how much of the contents of one namespace is kept, in bytes:
// sixteen of the largest objects that there can be, hundreds of usual ones.
// Whoever may create ConfigMaps in a namespace of his own can have any number
// of them read, and must not be able to end the operator by it.
const namespaceBudget = 16 << 20

// entry is what is known of an object that exists and is named.
type entry struct {
	// object is the content that was read last, nil if none was: it was deleted
	// before its deletion was heard of.
	object client.Object
	// weight is the size of object, in bytes.
	weight int
	// wanted is the newest version, which was read or ordered to be read. object
	// was read when read was the newest one, and had the version got.
	wanted, read, got string
	// fault says why wanted cannot be read; "" if nothing is known against it.
	fault string
	// at is when object or fault was learned, 0 for neither.
	at uint64
	// since is when a version that is not read was first wanted.
	since time.Time
	// turn counts the orders; what an older one brings is void.
	turn int
	stop context.CancelFunc
}

// settled says whether all is known of a version that can be.
func (e *entry) settled(version string) bool {
	return e.at > 0 && (e.fault != "" || e.read == version || e.got == version)
}

func newContents(source *Source) *contents {
	return &contents{
		source: source, versions: map[gwapi.Key]string{}, entries: map[gwapi.Key]*entry{},
		weights: map[string]int{}, budget: namespaceBudget, orders: make(chan struct{}, 1),
	}
}

// metadata brings the events of one of the two kinds.
type metadata struct {
	contents *contents
	kind     gwapi.Kind
}

// put notes the version of an object, and has it read if it is named.
func (m metadata) put(now *metav1.PartialObjectMetadata) {
	c, key := m.contents, gwapi.KeyOf(m.kind, now.Namespace, now.Name)
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	c.versions[key] = now.ResourceVersion
	if _, named := c.source.refs[key]; named {
		c.want(key)
	}
}

// remove notes a deletion, which counts at once.
func (m metadata) remove(name types.NamespacedName) {
	c, key := m.contents, gwapi.KeyOf(m.kind, name.Namespace, name.Name)
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	delete(c.versions, key)
	if _, known := c.entries[key]; known {
		c.forget(key)
		c.source.changed()
	}
}

// need has everything read that is named and exists, forgets what is no longer
// named, and says whether the last Snapshot had it all.
func (c *contents) need(refs map[gwapi.Key][]gwapi.Key) bool {
	for key := range c.entries {
		if _, named := refs[key]; !named {
			c.forget(key)
		}
	}
	complete := true
	for key := range refs {
		if key.Kind != gwapi.KindSecret && key.Kind != gwapi.KindConfigMap {
			continue
		}
		version, exists := c.versions[key]
		if !exists {
			continue
		}
		e := c.want(key)
		if !e.settled(version) {
			complete = false
		} else if e.at > c.taken {
			// It came while the build ran, which did not see it.
			complete = false
			c.source.signal()
		}
	}
	return complete
}

// want orders the newest version of an object unless it was read or ordered.
func (c *contents) want(key gwapi.Key) *entry {
	e, version := c.entries[key], c.versions[key]
	if e == nil {
		e = &entry{}
		c.entries[key] = e
	}
	if e.wanted == version {
		return e
	}
	e.wanted = version
	if e.at > 0 && e.got == version {
		return e // A read was ahead of the watch.
	}
	if e.since.IsZero() {
		e.since = time.Now()
	}
	e.end()
	c.queue = append(c.queue, order{key: key, entry: e, turn: e.turn, version: version, since: e.since})
	select {
	case c.orders <- struct{}{}:
	default:
	}
	return e
}

// end makes void what was ordered so far.
func (e *entry) end() {
	e.turn++
	if e.stop != nil {
		e.stop()
		e.stop = nil
	}
}

// forget drops what is known of an object.
func (c *contents) forget(key gwapi.Key) {
	c.entries[key].end()
	c.weights[key.Namespace] -= c.entries[key].weight
	if c.weights[key.Namespace] == 0 {
		delete(c.weights, key.Namespace)
	}
	delete(c.entries, key)
	c.source.current = nil
}

// take is what the Snapshot that is made now has of contents.
func (c *contents) take() (
	secrets snapshot.Objects[*corev1.Secret], configMaps snapshot.Objects[*corev1.ConfigMap], faults map[gwapi.Key]string,
) {
	var secretList []*corev1.Secret
	var configMapList []*corev1.ConfigMap
	faults = map[gwapi.Key]string{}
	for key, e := range c.entries {
		if e.fault != "" {
			faults[key] = e.fault
		}
		switch object := e.object.(type) {
		case *corev1.Secret:
			secretList = append(secretList, object)
		case *corev1.ConfigMap:
			configMapList = append(configMapList, object)
		}
	}
	c.taken = c.learned
	return snapshot.NewObjects(secretList...), snapshot.NewObjects(configMapList...), faults
}

// keep takes what an order brought, unless it is void by now. The error says
// that there is no room for it.
func (c *contents) keep(o order, object client.Object) error {
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	e := o.entry
	if c.entries[o.key] != e || e.turn != o.turn {
		return nil
	}
	weight := weigh(object)
	total := c.weights[o.key.Namespace] - e.weight + weight
	if weight > e.weight && total > c.budget {
		return &fullError{namespace: o.key.Namespace, budget: c.budget}
	}
	c.weights[o.key.Namespace], e.weight = total, weight
	if e.fault != "" {
		c.source.config.Log.Info("content can be read again", "object", o.key.String())
	}
	e.object, e.read, e.got, e.fault, e.since = object, o.version, "", "", time.Time{}
	if object != nil {
		e.got = object.GetResourceVersion()
	}
	e.end()
	c.learn(e)
	return nil
}

// fullError says that the contents of a namespace have used up their room.
type fullError struct {
	namespace string
	budget    int
}

func (f *fullError) Error() string {
	return fmt.Sprintf("it is not kept: what is named of the Secrets and ConfigMaps in namespace %s is more than %d KiB; "+
		"name fewer or smaller ones", f.namespace, f.budget>>10)
}

// weigh is the size of a content in bytes, 0 for none.
func weigh(object client.Object) (bytes int) {
	switch object := object.(type) {
	case *corev1.Secret:
		for name, value := range object.Data {
			bytes += len(name) + len(value)
		}
	case *corev1.ConfigMap:
		for name, value := range object.Data {
			bytes += len(name) + len(value)
		}
		for name, value := range object.BinaryData {
			bytes += len(name) + len(value)
		}
	}
	return bytes
}

// refuse notes that an order cannot be carried out. It goes on trying.
func (c *contents) refuse(o order, fault string, err error) {
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	e := o.entry
	if c.entries[o.key] != e || e.turn != o.turn || e.fault != "" {
		return
	}
	c.source.config.Log.Warn("content cannot be read, what names it fails closed; trying again",
		"object", o.key.String(), "error", err)
	e.fault = fault
	c.learn(e)
}

// learn counts what was learned.
func (c *contents) learn(e *entry) {
	c.learned++
	e.at = c.learned
	c.source.changed()
}
