package fleet

import (
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

func TestMain(m *testing.M) {
	// Without one controller-runtime complains that it has none.
	log.SetLogger(logr.Discard())
	// An informer of metadata leaves the filter of its watch behind when it is
	// ended in the middle of an event (client-go).
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}
