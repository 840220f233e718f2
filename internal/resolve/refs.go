package resolve

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// absence says why an object that was named cannot be used.
type absence string

// The absences.
const (
	present absence = ""
	missing absence = "missing" // it does not exist
	unseen  absence = "unseen"  // nobody could look: a statement about it is Unknown
	faulty  absence = "faulty"  // its content is contradictory or invalid
	// forbidden: it is in another namespace and no ReferenceGrant permits it.
	forbidden absence = "forbidden"
)

// find looks up an object that the Gateway's answer depends on and records the
// reference. It returns the object only where it is present; otherwise the
// sentence says what is wrong, naming the object. It is for objects that decide
// about trust: one with a fault is not used, however good it was before.
func find[T metav1.Object](
	b *builder, gateway gwapi.Key, kind gwapi.Kind, in snapshot.Objects[T], name types.NamespacedName,
) (object T, why absence, sentence string) {
	key := gwapi.KeyOf(kind, name.Namespace, name.Name)
	b.ref(gateway, key)
	if fault, broken := b.snap.Faults[key]; broken {
		return object, faulty, fmt.Sprintf("%s is not usable: %s", key, fault)
	}
	return findStanding(b, key, in)
}

// findStanding looks up an object that stands as it last was, even where a
// newer version of it has a fault. It records nothing.
func findStanding[T metav1.Object](
	b *builder, key gwapi.Key, in snapshot.Objects[T],
) (object T, why absence, sentence string) {
	if found, ok := in.Get(key.NamespacedName()); ok {
		return found, present, ""
	}
	if fault, broken := b.snap.Faults[key]; broken {
		return object, faulty, fmt.Sprintf("%s is not usable: %s", key, fault)
	}
	if reason, hidden := b.hidden(key.Kind, key.Namespace); hidden {
		return object, unseen, fmt.Sprintf("%s could not be read: %s", key, reason)
	}
	return object, missing, fmt.Sprintf("%s does not exist", key)
}

// hidden says whether objects of a kind in a namespace could not be read.
func (b *builder) hidden(kind gwapi.Kind, namespace string) (reason string, hidden bool) {
	return b.snap.Hidden(kind, namespace)
}

// permitted says whether one object may refer to another. A grant with a fault
// permits nothing; where grants could not be read, nobody knows, which permits
// nothing either but is said differently.
func (b *builder) permitted(from, to gwapi.Key) (why absence, sentence string) {
	if gwapi.Allowed(b.grants[to.Namespace], from, to) {
		return present, ""
	}
	if reason, hidden := b.hidden(gwapi.KindReferenceGrant, to.Namespace); hidden {
		return unseen, fmt.Sprintf("whether a ReferenceGrant in namespace %s permits %s to refer to %s "+
			"could not be read: %s", to.Namespace, from, to, reason)
	}
	return forbidden, fmt.Sprintf("no ReferenceGrant in namespace %s permits %s to refer to %s", to.Namespace, from, to)
}
