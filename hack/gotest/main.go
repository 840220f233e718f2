// Command gotest runs `go test` with its arguments and shows the runner's line
// for each package, the whole output of what failed, and nothing else; what the
// failed tests said of themselves comes once more at the end, where their logs do
// not bury it. Unlike `go test` it fails when a test was skipped: a test that does
// not run proves nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	cmd.Env = os.Environ()
	if slices.Contains(args, "-race") {
		cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	}
	events, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	r := report{out: out, output: map[string][]string{}}
	readErr := r.read(events)
	// Whatever could not be read must not stop the tests from ending.
	_, _ = io.Copy(io.Discard, events)
	return errors.Join(readErr, cmd.Wait(), r.verdict())
}

// event is what `go test -json` writes (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// report collects what the tests say.
type report struct {
	out io.Writer
	// output of each test that runs, by package and test.
	output  map[string][]string
	passed  int
	skipped []string
	failed  []string
}

func (r *report) read(events io.Reader) error {
	decoder := json.NewDecoder(events)
	for {
		var e event
		if err := decoder.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("output of go test -json: %w", err)
		}
		r.take(e)
	}
}

func (r *report) take(e event) {
	test := e.Package + " " + e.Test
	switch {
	case e.Action == "build-output", e.Action == "output" && e.Test == "":
		// Of a package itself: the runner's line, or the reason of a failure
		// outside of any test.
		if !strings.HasPrefix(e.Output, "?") && e.Output != "PASS\n" {
			fmt.Fprint(r.out, e.Output)
		}
	case e.Test == "":
	case e.Action == "output":
		r.output[test] = append(r.output[test], e.Output)
	case e.Action == "fail":
		fmt.Fprint(r.out, strings.Join(r.output[test], ""))
		r.failed = append(r.failed, test+said(r.output[test]))
		delete(r.output, test)
	case e.Action == "skip":
		r.skipped = append(r.skipped, test+": "+strings.TrimSpace(strings.Join(r.output[test], "")))
		delete(r.output, test)
	case e.Action == "pass":
		r.passed++
		delete(r.output, test)
	}
}

// line is where a test speaks: file, line, and what it has to say.
var line = regexp.MustCompile(`^ +\w+_test\.go:\d+: .*\S`)

// said are the first lines in which a test says what went wrong, shortened.
func said(output []string) string {
	const lines, columns = 5, 300
	var text []string
	for _, o := range output {
		if found := line.FindString(o); found != "" && len(text) < lines {
			text = append(text, fmt.Sprintf(": %.*s", columns, strings.TrimSpace(found)))
		}
	}
	return strings.Join(text, "")
}

// verdict ends the report; it is an error if anything was skipped, or if
// nothing ran at all.
func (r *report) verdict() error {
	for _, test := range r.failed {
		fmt.Fprintln(r.out, "gotest: failed:", test)
	}
	if r.passed == 0 {
		return errors.New("no test passed")
	}
	if len(r.skipped) > 0 {
		return fmt.Errorf("%d tests were skipped:\n%s", len(r.skipped), strings.Join(r.skipped, "\n"))
	}
	fmt.Fprintf(r.out, "gotest: %d tests and subtests passed, none skipped\n", r.passed)
	return nil
}
