package leak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience is how long goroutines that were told to end may take.
const patience = 20 * time.Second

// others are functions of libraries whose goroutines outlast what they were for.
var others = []goleak.Option{
	// apimachinery's watch.Filter, which controller-runtime puts around watches of
	// metadata, forgets a goroutine where a watch is stopped with an event in hand.
	goleak.IgnoreTopFunction("k8s.io/apimachinery/pkg/watch.(*filteredWatch).loop"),
	// spdystream takes its time with connections that are closed, and the fake API
	// server's end of them waits for its own word.
	goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Stream).WaitTimeout"),
	goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Stream).waitWriteReply"),
	goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown"),
	goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown.func1"),
}

// Main runs the tests of a package and ends the process, with an error if they
// pass and goroutines are left.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := left(patience); err != nil {
			fmt.Fprintf(os.Stderr, "the tests pass, and goroutines are left: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// Watch fails the test, once it is over, if goroutines are left that did not run
// when Watch was called.
func Watch(tb testing.TB) {
	tb.Helper()
	before := goleak.IgnoreCurrent()
	tb.Cleanup(func() {
		if err := left(patience, before); err != nil {
			tb.Error(err)
		}
	})
}

// left are the goroutines that have not ended in time, as an error.
func left(within time.Duration, ignored ...goleak.Option) error {
	for deadline := time.Now().Add(within); ; {
		err := goleak.Find(append(ignored, others...)...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
