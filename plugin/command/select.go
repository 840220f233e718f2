package command

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// SelectFlags are -A and -l.
type SelectFlags struct {
	// AllNamespaces is -A.
	AllNamespaces bool
	// Selector is -l, on the labels of Services.
	Selector string
}

// AddTo adds the flags.
func (f *SelectFlags) AddTo(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.AllNamespaces, "all-namespaces", "A", false, "In every namespace")
	cmd.Flags().StringVarP(&f.Selector, "selector", "l", "", "Label selector, on the labels of Services")
}

// Validate checks the flags against the arguments.
func (f *SelectFlags) Validate(args []string) error {
	if len(args) > 0 && (f.AllNamespaces || f.Selector != "") {
		return fmt.Errorf("%s is named, and -A or -l select by themselves: use one or the other", args[0])
	}
	if _, err := labels.Parse(f.Selector); err != nil {
		return fmt.Errorf("-l %q: %w", f.Selector, err)
	}
	return nil
}

// Lists says whether the flags select something by themselves.
func (f *SelectFlags) Lists() bool { return f.AllNamespaces || f.Selector != "" }

// matches says whether the labels of the port's Service are selected.
func (f *SelectFlags) matches(world *collect.World, port collect.Port) bool {
	selector, err := labels.Parse(f.Selector)
	if err != nil {
		return false
	}
	service, found := world.Snapshot.Services.Get(port.Service.NamespacedName())
	return found && selector.Matches(labels.Set(service.Labels))
}

// ports are those that a route references or a policy targets, in the
// namespace or in all, whose Services are selected.
func (f *SelectFlags) ports(world *collect.World, namespace string) []collect.Port {
	return slices.DeleteFunc(world.Ports(), func(port collect.Port) bool {
		return !port.Used() || !f.AllNamespaces && port.Service.Namespace != namespace || !f.matches(world, port)
	})
}

// targets finds the ports of every TARGET. It keeps going: the error joins
// what was not found.
func targets(world *collect.World, namespace string, args []string) ([]collect.Port, error) {
	var found []collect.Port
	var faults []error
	for _, arg := range args {
		reference, err := target.ParseTarget(arg)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		ports, err := reference.Ports(world, namespace)
		if err != nil {
			faults = append(faults, err)
		}
		found = append(found, ports...)
	}
	return distinct(found), errors.Join(faults...)
}

// distinct sorts ports and drops repetitions.
func distinct(ports []collect.Port) []collect.Port {
	slices.SortFunc(ports, func(a, b collect.Port) int { return collect.ComparePortKeys(a.Key(), b.Key()) })
	return slices.CompactFunc(ports, func(a, b collect.Port) bool { return a.Key() == b.Key() })
}

// Assessor judges what was collected and observed; observations may be nil.
func (o *Options) Assessor(world *collect.World, f *ProbeFlags, observations tunnel.Observations) *assess.Assessor {
	return &assess.Assessor{
		World:        world,
		Observations: observations,
		ServerName:   f.ServerName,
		Program:      o.Program,
		Source:       o.source(world),
		Local:        f.Via == session.ViaPortForward,
	}
}

// source is what to type to read the same world.
func (o *Options) source(world *collect.World) string {
	if world.Live() {
		return o.API.Arguments()
	}
	return "-f " + session.Quoted(world.Source)
}

// incomplete is the error of a verb that printed what it could: what was not
// found, and that the files have faults, which have been printed.
func incomplete(world *collect.World, err error) error {
	if err == nil && len(world.Problems) > 0 {
		return fmt.Errorf("%s: what these files say is incomplete (see the warnings)", world.Source)
	}
	return err
}
