// Command demo tells the story of backendtls on a real Envoy, without root,
// Kubernetes or Docker, or in a cluster: a self-signed backend is refused, pinned, refused
// again when its key changes, opened for a limited time where the Gateway
// allows it, and closed again. Every step is a command that anybody can type.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// The main goroutine stays on the main thread, which lives as long as the
// process: see startOperator.
func init() { runtime.LockOSThread() }

func main() {
	// A reader that goes away, as in `make demo | head`, must not leave anything
	// behind: the demo goes on to its end and tidies up.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "demo: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "demo: error:", err)
		os.Exit(1)
	}
}

// options are the flags of the demo.
type options struct {
	bin     string
	envoy   string
	keep    bool
	root    string
	cluster clusterOptions
}

func run(ctx context.Context) (err error) {
	if len(os.Args) > 1 && os.Args[1] == "backend" {
		return serveBackend(ctx, os.Args[2:])
	}
	var o options
	flag.StringVar(&o.bin, "bin", "bin", "directory of backendtls-operator and kubectl-backendtls")
	flag.StringVar(&o.envoy, "envoy", "", "path of the Envoy binary (standalone)")
	flag.BoolVar(&o.keep, "keep", false, "stay up at the end and say what to type next")
	flag.StringVar(&o.root, "root", ".demo", "directory to make the demo's own directory in")
	o.cluster.flags()
	flag.Parse()
	stage, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close(context.WithoutCancel(ctx))) }()

	s := &story{out: os.Stdout, stage: stage}
	started := time.Now()
	if err := s.tell(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return errors.Join(err, stage.lastWords(ctx))
	}
	s.end(time.Since(started))
	if o.keep {
		s.keep()
		<-ctx.Done()
	}
	return nil
}

// open makes the stage that the flags ask for.
func open(ctx context.Context, o options) (stage, error) {
	if o.cluster.kubeconfig != "" || o.cluster.context != "" {
		return newCluster(ctx, o)
	}
	if o.envoy == "" {
		return nil, errors.New("--envoy is missing: run `make demo`, which gets Envoy first")
	}
	return newStandalone(ctx, o.bin, o.envoy, o.root)
}
