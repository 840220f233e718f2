package process_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/operator/process"
)

// doomedOperator runs a Fleet that is told what to run by its environment, says
// which Envoy it started, and waits to be killed.
func doomedOperator() {
	fleet := process.New(process.Config{
		Envoy:   os.Getenv("ENVOY_TO_RUN"),
		Env:     []string{"FAKE=" + os.Getenv("BEHAVIOUR")},
		Runtime: os.Getenv("RUNTIME"),
		Serve:   newSockets().serve,
		Drain:   drains(time.Minute),
		Log:     slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	fleet.Put(gateways(web))
	go func() {
		if err := fleet.Run(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}()
	// A thread that ends must not be the one that the child hangs on: these do.
	for range 50 {
		go func() {
			runtime.LockOSThread() // never unlocked: the thread ends with it
		}()
	}
	for len(fleet.Envoys()[web]) == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(fleet.Envoys()[web][0])
	select {}
}

// killOperator starts an operator with that Envoy in a process of its own,
// kills it once its Envoy runs, and expects Envoy to end with it.
func killOperator(t *testing.T, binary, behaviour string, running func(pid int) bool) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	operator := exec.CommandContext(t.Context(), self)
	operator.Env = []string{
		"ROLE=operator", "ENVOY_TO_RUN=" + binary, "BEHAVIOUR=" + behaviour, "RUNTIME=" + shortDir(t),
	}
	operator.Stderr = os.Stderr
	stdout, err := operator.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := operator.Start(); err != nil {
		t.Fatal(err)
	}
	name, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, strings.TrimSpace(name))
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) }) // if it did not end
	eventually(t, "Envoy runs", func() bool { return running(pid) })
	// Threads that ended have taken nothing with them.
	steadily(t, 100*time.Millisecond, "Envoy lives with its operator", func() bool { return !gone(pid) })

	if err := operator.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = operator.Wait() // says that it was killed
	eventually(t, "Envoy ends with its operator", func() bool { return gone(pid) })
}

func TestEnvoyEndsWithAnOperatorThatIsKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	killOperator(t, self, "stubborn", func(pid int) bool { return !gone(pid) })
}
