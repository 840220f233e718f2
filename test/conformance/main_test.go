package conformance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// options are what `make conformance` passes on.
var options struct {
	// only names the tests to run, separated by commas; "" for all.
	only string
	// report is the file for the report of a whole run, "" for none.
	report string
	// release of this project, for the report.
	release string
	// install the operator before, and remove it afterwards.
	install bool
	// keep what was made, for somebody who wants to look.
	keep bool
}

func TestMain(m *testing.M) {
	flag.StringVar(&options.only, "only", "", "names of the tests to run, separated by commas; all without")
	flag.StringVar(&options.report, "report", "", "file to write the report of a whole run to")
	flag.StringVar(&options.release, "release", "development", "version of this project")
	flag.BoolVar(&options.install, "install", false, "install the operator of this clone, and remove it afterwards")
	flag.BoolVar(&options.keep, "keep", false, "keep the operator and all objects of the suite")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, m)
	stop()
	os.Exit(code)
}

// run installs, runs and removes. An interruption removes at once.
func run(ctx context.Context, m *testing.M) (code int) {
	if !options.install {
		return m.Run()
	}
	say("installing the operator")
	installation, err := install(ctx)
	ended := make(chan int, 1)
	if err == nil {
		go func() { ended <- m.Run() }()
		select {
		case code = <-ended:
		case <-ctx.Done():
			err = errors.New("interrupted")
		}
	}
	if !options.keep {
		say("removing the operator")
		err = errors.Join(err, installation.remove(context.WithoutCancel(ctx)))
	}
	if err != nil {
		say("%v", err)
		return 1
	}
	return code
}

// say tells a person at the terminal what happens; everything else goes to
// standard output, which is a file.
func say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "conformance: "+format+"\n", values...)
}
