package envoy

import (
	"cmp"
	"fmt"
	"runtime/debug"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Fault is a part of the model that could not be written. Requests for it get
// a 500, connections to it are refused; the other parts are untouched.
type Fault struct {
	// Object is whom to tell: the policy of a backend (its Service where there
	// is none), the route of a rule, the Secret of a certificate, else the
	// Gateway.
	Object gwapi.Key
	// Resource is what was left out: the name of a cluster, a secret, a listener
	// or a virtual host, or a rule's name.
	Resource string
	// Message says what is wrong, for people; it may hold text of the object.
	Message string
	// Stack is where the code panicked, for the log; "" if it did not.
	Stack string
}

// String is the Fault in one line.
func (f Fault) String() string {
	return fmt.Sprintf("%s: %s: %s", f.Object, f.Resource, f.Message)
}

func compareFaults(a, b Fault) int {
	return cmp.Or(
		gwapi.CompareKeys(a.Object, b.Object),
		cmp.Compare(a.Resource, b.Resource),
		cmp.Compare(a.Message, b.Message),
	)
}

// panicked is a panic as an error.
type panicked struct {
	cause any
	stack string
}

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.cause) }

// guard runs the translation of one part. A panic there is this part's fault
// and nobody else's: one crafted object must not take a Gateway down, and least
// of all leave Envoys with the trust they had before. This is the one place
// of the core that recovers, because only here the part is known.
func guard(part func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked{cause: cause, stack: string(debug.Stack())}
		}
	}()
	return part()
}
