package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// WriteFlags are those of every verb that changes a policy.
type WriteFlags struct {
	// Write edits the files in place; without it the manifest is printed. A
	// cluster needs no such word.
	Write bool
	// Yes answers the question.
	Yes bool
	// DryRun is none, client or server: client shows and writes nothing, server
	// lets the API server say what it would store.
	DryRun string
	// ReadOnly refuses to change anything.
	ReadOnly bool
	// AllTargets admits a policy with more than one target.
	AllTargets bool
	// Wait bounds the wait for the Envoys after a write in a cluster.
	Wait time.Duration
	// Format is how the manifest is printed.
	Format OutputFlag

	flags *pflag.FlagSet
	// files says that the world is files.
	files bool
}

// The values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
	dryRunServer = "server"
)

// AddTo adds the flags.
func (f *WriteFlags) AddTo(cmd *cobra.Command) {
	f.flags = cmd.Flags()
	f.flags.BoolVar(&f.Write, "write", false,
		"With -f: edit the files in place, after asking (default: print the manifest)")
	f.flags.BoolVarP(&f.Yes, "yes", "y", false, "Do not ask")
	f.flags.StringVar(&f.DryRun, "dry-run", dryRunNone, "none; client: show what would change and write nothing; server: "+
		"let the API server say what it would store")
	f.flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	f.flags.BoolVar(&f.ReadOnly, "read-only", false, "Refuse to change anything")
	f.flags.BoolVar(&f.AllTargets, "all-targets", false, "Change a policy that has more than one target, for all of them")
	f.flags.DurationVar(&f.Wait, "wait", 30*time.Second,
		"In a cluster: how long to wait until every Envoy has acknowledged the change; 0 for not at all")
	f.Format.AddTo(cmd, view.YAML, view.JSON, view.Name)
	output := f.flags.Lookup("output")
	output.Usage = "Print the resulting manifest as yaml, json or name (default: yaml; where something is written " +
		"a line that says what was done)"
	output.DefValue = ""
}

// Validate checks the flags; filename is -f, "" for a cluster.
func (f *WriteFlags) Validate(filename string) error {
	f.files = filename != ""
	dryRuns := []string{dryRunNone, dryRunClient}
	if !f.files {
		dryRuns = append(dryRuns, dryRunServer)
	}
	switch {
	case f.files && !slices.Contains(dryRuns, f.DryRun):
		return fmt.Errorf("--dry-run is %q: want none or client, because files have no server to ask", f.DryRun)
	case !slices.Contains(dryRuns, f.DryRun):
		return fmt.Errorf("--dry-run is %q: want none, client or server", f.DryRun)
	case f.ReadOnly && f.Write:
		return errors.New("--read-only and --write contradict each other: use one of them")
	case f.Write && !f.files:
		return errors.New("--write is for files (-f DIR): in a cluster a change is written once it is confirmed")
	case f.ReadOnly && !f.files && f.DryRun == dryRunNone:
		return errors.New("--read-only: nothing is changed; add --dry-run=server or --dry-run=client to see what would be")
	case f.files && f.flags.Changed("wait"):
		return errors.New("--wait is for a cluster: files have no Envoys to wait for")
	case f.Wait < 0:
		return fmt.Errorf("--wait is %s: want 0 or more, such as 30s", f.Wait)
	default:
		return f.Format.Validate()
	}
}

// writes says whether anything is to be changed.
func (f *WriteFlags) writes() bool {
	if f.files {
		return f.Write && f.DryRun != dryRunClient
	}
	return f.DryRun == dryRunNone
}

// format is how the manifest is printed, "" where that was not asked for.
func (f *WriteFlags) format() string {
	if f.writes() && !f.flags.Changed("output") {
		return ""
	}
	return f.Format.Format
}

// errNotConfirmed is what a verb ends with if the answer is no.
var errNotConfirmed = errors.New("not confirmed, nothing was written")

// ask asks a yes-or-no question. Without a terminal there is nobody to ask,
// and silence is no consent.
func (o *Options) ask(ctx context.Context, question string, yes bool) error {
	if yes {
		return nil
	}
	if !o.interactive() {
		return errors.New("nothing was written: there is no terminal to ask on; add --yes")
	}
	answer, err := o.answer(ctx, question+" (y/N): ")
	if err != nil {
		return err
	}
	if !strings.EqualFold(answer, "y") && !strings.EqualFold(answer, "yes") {
		return errNotConfirmed
	}
	return nil
}

// askName wants a name typed: for what must not happen by a habitual y.
func (o *Options) askName(ctx context.Context, name string) error {
	answer, err := o.answer(ctx, fmt.Sprintf("Type the name of the policy, %s, to go on: ", name))
	if err != nil {
		return err
	}
	if answer != name {
		return errNotConfirmed
	}
	return nil
}

// answer reads a line. Ctrl-C ends the wait for it.
func (o *Options) answer(ctx context.Context, question string) (string, error) {
	fmt.Fprint(o.ErrOut, untrusted.Text(question)+" ")
	type reply struct {
		line string
		err  error
	}
	replies := make(chan reply, 1)
	go func() {
		line, err := bufio.NewReader(o.In).ReadString('\n')
		replies <- reply{line, err}
	}()
	select {
	case <-ctx.Done():
		fmt.Fprintln(o.ErrOut)
		return "", ctx.Err()
	case got := <-replies:
		if got.err != nil && (!errors.Is(got.err, io.EOF) || got.line == "") {
			fmt.Fprintln(o.ErrOut)
			return "", errNotConfirmed
		}
		return strings.TrimSpace(got.line), nil
	}
}

// interactive says whether somebody can be asked: stdin and stderr, where the
// question goes, are terminals.
func (o *Options) interactive() bool {
	return printers.IsTerminal(o.In) && printers.IsTerminal(o.ErrOut)
}
