package command

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
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
}

// The values of --dry-run.
const (
	dryRunNone   = "none"
	dryRunClient = "client"
)

// AddTo adds the flags.
func (f *WriteFlags) AddTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.Write, "write", false, "Edit the files in place, after asking (default: print the manifest)")
	flags.BoolVarP(&f.Yes, "yes", "y", false, "Do not ask")
	flags.StringVar(&f.DryRun, "dry-run", dryRunNone, "none, or client: show what would change and write nothing")
	flags.Lookup("dry-run").NoOptDefVal = dryRunClient
	flags.BoolVar(&f.ReadOnly, "read-only", false, "Refuse to change anything")
	flags.BoolVar(&f.AllTargets, "all-targets", false, "Change a policy that has more than one target, for all of them")
	f.Format.AddTo(cmd, view.YAML, view.JSON, view.Name)
}

// Validate checks the flags.
func (f *WriteFlags) Validate() error {
	switch {
	case f.DryRun != dryRunNone && f.DryRun != dryRunClient:
		return fmt.Errorf("--dry-run is %q: want none or client (files have no server to ask)", f.DryRun)
	case f.ReadOnly && f.Write:
		return errors.New("--read-only and --write contradict each other")
	case f.Write && f.DryRun == dryRunClient:
		f.Write = false
	}
	return f.Format.Validate()
}

// errNotConfirmed is what a verb ends with if the answer is no.
var errNotConfirmed = errors.New("not confirmed, nothing was written")

// ask asks a yes-or-no question. Without a terminal there is nobody to ask,
// and silence is no consent.
func (o *Options) ask(question string, yes bool) error {
	if yes {
		return nil
	}
	if !o.interactive() {
		return fmt.Errorf("%s: there is no terminal to ask on; add --yes", question)
	}
	answer, err := o.answer(question + " (y/N): ")
	if err != nil {
		return err
	}
	if answer != "y" && answer != "Y" && !strings.EqualFold(answer, "yes") {
		return errNotConfirmed
	}
	return nil
}

// askName wants a name typed: for what must not happen by a habitual y.
func (o *Options) askName(question, name string) error {
	answer, err := o.answer(fmt.Sprintf("%s Type %q to go on: ", question, name))
	if err != nil {
		return err
	}
	if answer != name {
		return errNotConfirmed
	}
	return nil
}

func (o *Options) answer(question string) (string, error) {
	fmt.Fprint(o.ErrOut, untrusted.Lines(question))
	line, err := bufio.NewReader(o.In).ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		fmt.Fprintln(o.ErrOut)
		return "", errNotConfirmed
	}
	return strings.TrimSpace(line), nil
}

// interactive says whether somebody can be asked: stdin and stderr, where the
// question goes, are terminals.
func (o *Options) interactive() bool {
	type file interface{ Fd() uintptr }
	in, isFile := o.In.(file)
	return isFile && printers.IsTerminal(in) && printers.IsTerminal(o.ErrOut)
}
