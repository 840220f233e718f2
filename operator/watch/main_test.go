package watch_test

import (
	"log/slog"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	runtimelog "sigs.k8s.io/controller-runtime/pkg/log"
)

// apimachinery's watch.Filter, which controller-runtime puts around watches of
// metadata, forgets a goroutine where a watch is stopped with an event in hand.
func TestMain(m *testing.M) {
	runtimelog.SetLogger(logr.FromSlogHandler(slog.DiscardHandler))
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}
