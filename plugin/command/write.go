package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// WriteFlags are those of every verb that changes a policy.
type WriteFlags struct {
	// Write edits the files in place; without it the manifest is printed.
	Write bool
	// Yes answers the question.
	Yes bool
	// DryRun is none or client: client shows and writes nothing.
	DryRun string
	// ReadOnly refuses to change anything.
	ReadOnly bool
	// AllTargets admits a policy with more than one target.
	AllTargets bool
	// Format is how the manifest is printed.
	Format OutputFlag

	flags *pflag.FlagSet
}

// The values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
)

// AddTo adds the flags.
func (f *WriteFlags) AddTo(cmd *cobra.Command) {
	f.flags = cmd.Flags()
	f.flags.BoolVar(&f.Write, "write", false, "Edit the files in place, after asking (default: print the manifest)")
	f.flags.BoolVarP(&f.Yes, "yes", "y", false, "Do not ask")
	f.flags.StringVar(&f.DryRun, "dry-run", dryRunNone, "none, or client: show what would change and write nothing")
	f.flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	f.flags.BoolVar(&f.ReadOnly, "read-only", false, "Refuse to change anything")
	f.flags.BoolVar(&f.AllTargets, "all-targets", false, "Change a policy that has more than one target, for all of them")
	f.Format.AddTo(cmd, view.YAML, view.JSON, view.Name)
	output := f.flags.Lookup("output")
	output.Usage = "Print the resulting manifest as yaml, json or name (default: yaml; with --write " +
		"a line that says what was done)"
	output.DefValue = ""
}

// Validate checks the flags.
func (f *WriteFlags) Validate() error {
	switch {
	case f.DryRun != dryRunNone && f.DryRun != dryRunClient:
		return fmt.Errorf("--dry-run is %q: want none or client, because files have no server to ask", f.DryRun)
	case f.ReadOnly && f.Write:
		return errors.New("--read-only and --write contradict each other: use one of them")
	default:
		return f.Format.Validate()
	}
}

// writes says whether files are to be changed.
func (f *WriteFlags) writes() bool { return f.Write && f.DryRun != dryRunClient }

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
