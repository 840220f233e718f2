package command

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/cli-runtime/pkg/printers"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// drafter reads the World, once, for a change of what the TARGET means.
func (o *Options) drafter(
	ctx context.Context, arg string, write *WriteFlags, probe *ProbeFlags,
) (*session.Drafter, target.Reference, error) {
	reference, err := target.ParseTarget(arg)
	if err != nil {
		return nil, reference, err
	}
	world, err := o.World(ctx)
	if err != nil {
		return nil, reference, err
	}
	return &session.Drafter{
		World: world, Namespace: o.Namespace(), Program: o.Program, Cluster: o.API,
		Local: write.DryRun == dryRunClient,
		Ask: func(ctx context.Context, ports []collect.Port, serverName string) (session.Asked, error) {
			return o.asked(ctx, *probe, ports, serverName)
		},
	}, reference, nil
}

// asked asks the endpoints of the ports of one policy, or those of --address.
func (o *Options) asked(
	ctx context.Context, probe ProbeFlags, ports []collect.Port, serverName string,
) (session.Asked, error) {
	if len(probe.Addresses) > 0 && len(ports) > 1 {
		return session.Asked{}, fmt.Errorf("--address replaces the endpoints of one port, but btlspolicy/%s decides "+
			"about %d: give each a policy of its own, with sectionName", ports[0].Policy.Name, len(ports))
	}
	probe.SNI = serverName
	ports, err := o.Redirect(ctx, &probe, ports)
	if err != nil {
		return session.Asked{}, err
	}
	observed, err := o.Observe(ctx, &probe, ports)
	return session.Asked{Ports: ports, ServerName: probe.ServerName, Via: probe.Via, Observations: observed}, err
}

// above prints what an error speaks of as shown above.
func (o *Options) above(err error) error {
	if several, is := errors.AsType[*session.SeveralTargetsError](err); is {
		o.note("%s", several.Above())
	}
	return err
}

// show says on stderr what would change.
func (o *Options) show(draft *session.Plan) error {
	onStderr := *o
	onStderr.Out = o.ErrOut
	return draft.Show(o.ErrOut, onStderr.columns(), printers.AllowsColorOutput(o.ErrOut))
}

// note prints a line for people on stderr.
func (o *Options) note(format string, args ...any) {
	fmt.Fprintln(o.ErrOut, untrusted.Lines(fmt.Sprintf(format, args...)))
}
