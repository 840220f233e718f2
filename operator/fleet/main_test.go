package fleet

import (
	"testing"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/backendtls/backendtls/test/leak"
)

func TestMain(m *testing.M) {
	// Without one controller-runtime complains that it has none.
	log.SetLogger(logr.Discard())
	// An informer of metadata leaves the filter of its watch behind when it is
	// ended in the middle of an event (client-go).
	leak.Main(m)
}
