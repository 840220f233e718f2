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
)

// find looks up an object that the Gateway's answer depends on and records the
// reference. It returns the object only where it is present; otherwise the
// sentence says what is wrong, naming the object.
func find[T metav1.Object](
	b *builder, gateway gwapi.Key, kind gwapi.Kind, in snapshot.Objects[T], name types.NamespacedName,
) (object T, why absence, sentence string) {
	key := gwapi.KeyOf(kind, name.Namespace, name.Name)
	b.ref(gateway, key)
	if fault, broken := b.snap.Faults[key]; broken {
		return object, faulty, fmt.Sprintf("%s is not usable: %s", key, fault)
	}
	if found, ok := in.Get(name); ok {
		return found, present, ""
	}
	if reason, hidden := b.hidden(kind, name.Namespace); hidden {
		return object, unseen, fmt.Sprintf("%s could not be read: %s", key, reason)
	}
	return object, missing, fmt.Sprintf("%s does not exist", key)
}

// hidden says whether objects of a kind in a namespace could not be read.
func (b *builder) hidden(kind gwapi.Kind, namespace string) (reason string, hidden bool) {
	for _, scope := range [...]snapshot.Scope{{Kind: kind, Namespace: namespace}, {Kind: kind}} {
		if reason, hidden = b.snap.Unseen[scope]; hidden {
			return reason, true
		}
	}
	return "", false
}
