package command

import (
	"os"
	"strconv"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/view"
)

// OutputFlag is -o.
type OutputFlag struct {
	// Format is what was asked for, such as table or jsonpath=TEMPLATE.
	Format  string
	allowed []string
}

// AddTo adds -o with the formats that the verb prints; the first is the
// default.
func (f *OutputFlag) AddTo(cmd *cobra.Command, allowed ...string) {
	f.allowed = allowed
	cmd.Flags().StringVarP(&f.Format, "output", "o", allowed[0], "Output format: "+view.Spelled(allowed))
	// Only a flag that does not exist cannot be completed.
	_ = cmd.RegisterFlagCompletionFunc("output", completeFormats(allowed))
}

// Validate checks the format.
func (f *OutputFlag) Validate() error { return view.CheckFormat(f.Format, f.allowed) }

// printNames prints the ports that n things are about.
func (o *Options) printNames(n int, about func(i int) cliv1alpha1.PortReference, chosen SelectFlags) error {
	var ports []cliv1alpha1.PortReference
	for i := range n {
		ports = append(ports, about(i))
	}
	return view.Names(o.Out, ports, chosen.AllNamespaces)
}

// Style colors if stdout is a terminal that wants it (NO_COLOR is honored), and
// fits its width.
func (o *Options) Style() view.Style {
	return view.NewStyle(printers.AllowsColorOutput(o.Out)).Within(o.columns())
}

// columns is the width of the terminal that stdout is, or what COLUMNS says; 0
// if nobody knows.
func (o *Options) columns() int {
	if wanted, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && wanted > 0 {
		return wanted
	}
	if file, ok := o.Out.(*os.File); ok {
		return terminalColumns(file)
	}
	return 0
}
