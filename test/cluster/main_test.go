package cluster

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// system is the namespace of the operator.
const system = "backendtls-system"

// here is the cluster under test, installed once for all tests.
var here *install

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := 1
	var err error
	if here, err = newInstall(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster tests:", err)
	} else {
		code = m.Run()
		if err := here.close(); err != nil {
			fmt.Fprintln(os.Stderr, "cluster tests:", err)
			code = 1
		}
	}
	stop()
	os.Exit(code)
}

// eventually waits for a condition, which says what is missing; "" for nothing.
func eventually(t *testing.T, within time.Duration, what string, condition func() string) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		missing := condition()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, within, missing)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v: %s", what, t.Context().Err(), missing)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
