package apitest_test

import (
	"testing"

	"go.uber.org/goleak"
)

// apimachinery's watch.Filter, which controller-runtime puts around watches of
// metadata, forgets a goroutine where a watch is stopped with an event in hand.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"))
}
