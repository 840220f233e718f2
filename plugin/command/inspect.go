package command

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

type inspectOptions struct {
	Options

	probe  ProbeFlags
	output OutputFlag
	choose SelectFlags
	always bool
	never  bool
	// watch prints again what changes.
	watch bool
	// readOnly has the screens offer nothing that changes something.
	readOnly bool
	objects  []target.Reference
	// detailed prints sections about each port instead of a table.
	detailed bool
}

// What --help says of it.
const (
	inspectLong = `Show every path Gateway -> route -> Service: the policy that decides, its mode
and the time left, what is trusted, what each endpoint serves, and why.

At a terminal, without a name and without -o, -w or -l, screens show it as it
changes, and fetch, verify, pin, unpin and skip-verify are a key away (? lists
them). -o table prints the table there too.

Named objects are shown in sections, and their endpoints are asked for their
certificates once (--no-probe does not). Without a name, a table of the paths
in the namespace (-A: in all) shows what the operator verified, or "not probed"
(--probe asks). -l selects by the labels of Services.

VERDICT is what stands in the way: 503 where Envoy refuses a certificate, 500
where the policy or the path is invalid, "passes", "plaintext", "not probed",
"passthrough" where the client's own TLS reaches the Service, "unreachable"
where the operator got no answer, which Envoy may get all the same.
What the operator wrote in status comes first; what the same rules say about
the objects as they are now follows where it differs.

` + rightsToRead + rightsToWatch + rightsToAsk
	inspectExamples = `  # Why does the Service answer 503?
  PROGRAM inspect svc/api

  # The same about manifests that are not applied yet
  PROGRAM inspect svc/api -f DIR

  # Everything behind a Gateway, with every check and message
  PROGRAM inspect gateway/web -o wide

  # What becomes of it while a certificate is rotated?
  PROGRAM inspect svc/api -w

  # Every Service that routes lead to, one after the other; each line of -o name
  # is the rest of a command, with -A its namespace too
  PROGRAM inspect -A -o name | xargs -L1 PROGRAM verify

  # Where is verification off?
  PROGRAM inspect -A -o jsonpath='{.items[?(@.policy.mode.state=="Active")].service.name}'`
)

// NewInspect is `inspect`.
func NewInspect(base Options) *cobra.Command {
	o := &inspectOptions{Options: base}
	cmd := &cobra.Command{
		Use:               "inspect [gateway|httproute|grpcroute|tlsroute|svc|btlspolicy]/NAME ...",
		Short:             "Show every path to a Service, its policy, and why requests fail",
		Long:              inspectLong,
		Example:           example(base, inspectExamples),
		ValidArgsFunction: o.completeObjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args); err != nil {
				return err
			}
			if err := o.validate(args); err != nil {
				return err
			}
			if o.wantsScreens(args, cmd.Flags()) {
				return o.screens(cmd.Context(), screens{
					all: o.choose.AllNamespaces, readOnly: o.readOnly, via: o.probe.Via, timeout: o.probe.Timeout,
				})
			}
			if o.watch {
				return o.follow(cmd.Context())
			}
			return o.run(cmd.Context())
		},
	}
	o.AddFileFlag(cmd)
	o.choose.AddTo(cmd)
	o.output.AddTo(cmd, append([]string{view.Table, view.Wide, view.Name}, view.Documents()...)...)
	o.probe.AddTo(cmd)
	cmd.Flags().BoolVar(&o.always, "probe", false, "Ask the endpoints of lists too")
	cmd.Flags().BoolVar(&o.never, "no-probe", false, "Do not ask the endpoints of named objects")
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false,
		"After the paths, print those that change, until Ctrl-C; endpoints are not asked")
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "Offer nothing on the screens that changes something")
	return cmd
}

func (o *inspectOptions) complete(args []string) error {
	for _, arg := range args {
		reference, err := target.ParseObject(arg)
		if err != nil {
			return err
		}
		o.objects = append(o.objects, reference)
	}
	return nil
}

func (o *inspectOptions) validate(args []string) error {
	if o.always && o.never {
		return errors.New("--probe and --no-probe contradict each other: use one of them")
	}
	if o.always && o.watch {
		return errors.New("--probe and --watch contradict each other: endpoints are asked once, and what changes is what " +
			"the operator found out")
	}
	return errors.Join(o.choose.Validate(args), o.output.Validate(), o.probe.Validate())
}

func (o *inspectOptions) run(ctx context.Context) error {
	world, err := o.world(ctx, o.choose.AllNamespaces)
	if err != nil {
		return err
	}
	ports, selected, missing := o.find(world)
	if len(ports) == 0 && missing != nil {
		return missing
	}
	ports, err = o.Redirect(ctx, &o.probe, ports)
	if err != nil {
		return err
	}
	var observed tunnel.Observations
	switch {
	case len(o.objects) > 0 && !o.never:
		observed, err = o.observeNamed(ctx, &o.probe, ports)
	case o.always:
		observed, err = o.Observe(ctx, &o.probe, ports)
	}
	interrupted, is := errors.AsType[*InterruptedError](err)
	if err != nil && !is {
		return err
	}
	paths := o.Assessor(world, &o.probe, observed).Paths(ports, selected)
	o.detailed = len(ports) == 1 && len(o.objects) > 0 || len(o.objects) > 0 && !slices.ContainsFunc(o.objects, isWide)
	if err := o.print(world, paths, is); err != nil {
		return err
	}
	if is {
		return interrupted
	}
	return incomplete(world, missing)
}

// isWide says whether an object usually has many ports behind it.
func isWide(reference target.Reference) bool {
	return reference.Kind != gwapi.KindService && reference.Kind != gwapi.KindBackendTLSPolicy
}

// find lists the ports to show, and which of their paths. The error joins what
// was named and is not there.
func (o *inspectOptions) find(world *collect.World) ([]collect.Port, func(collect.Port, *model.Path) bool, error) {
	namespace := o.Namespace()
	if len(o.objects) == 0 {
		ports, selected := world.Within(namespace, o.choose.AllNamespaces)
		return slices.DeleteFunc(ports, func(port collect.Port) bool { return !o.choose.matches(world, port) }), selected, nil
	}
	var ports []collect.Port
	var faults []error
	behind := make([]map[collect.PortKey]bool, len(o.objects))
	for i, object := range o.objects {
		found, err := object.Behind(world, namespace)
		if _, idle := errors.AsType[*target.IdlePolicyError](err); idle {
			o.Warn("%s", err)
		} else if err != nil {
			faults = append(faults, err)
		}
		behind[i] = map[collect.PortKey]bool{}
		for _, port := range found {
			behind[i][port.Key()] = true
		}
		ports = append(ports, found...)
	}
	selected := func(port collect.Port, path *model.Path) bool {
		for i, object := range o.objects {
			if behind[i][port.Key()] && object.Selects(namespace, path) {
				return true
			}
		}
		return false
	}
	return distinct(ports), selected, errors.Join(faults...)
}

func (o *inspectOptions) print(world *collect.World, paths []cliv1alpha1.Path, interrupted bool) error {
	if view.IsDocument(o.output.Format) {
		return view.Document(o.Out, o.output.Format, cliv1alpha1.PathList{
			Header: cliv1alpha1.NewHeader(cliv1alpha1.KindPathList),
			Items:  paths, Interrupted: interrupted, Problems: assess.Problems(world.Problems),
		})
	}
	if len(paths) == 0 {
		o.nothing("paths", o.choose, world)
		return nil
	}
	wide := o.output.Format == view.Wide
	switch {
	case o.output.Format == view.Name:
		return o.printNames(len(paths), func(i int) cliv1alpha1.PortReference { return paths[i].Service }, o.choose)
	case o.detailed:
		detail := view.Detail{Style: o.Style(), Now: world.Snapshot.Now, Wide: wide, Live: world.Live()}
		return o.sections(len(paths), func(i, j int) bool { return paths[i].Service == paths[j].Service },
			func(from, to int) error { return detail.Print(o.Out, paths[from:to]) })
	default:
		return view.Paths(o.Out, paths, world.Snapshot.Now, wide, o.choose.AllNamespaces)
	}
}

// nothing says on stderr that there is nothing to print, as kubectl does.
func (o *Options) nothing(what string, chosen SelectFlags, world *collect.World) {
	text := "No " + what + " found"
	if len(world.Snapshot.Unseen) > 0 {
		text = "No " + what + " that you may see found"
	}
	if !chosen.AllNamespaces {
		text += " in namespace " + o.Namespace()
	}
	if chosen.Selector != "" {
		text += " whose Service has the labels " + untrusted.Text(chosen.Selector)
	}
	fmt.Fprintln(o.ErrOut, text+".")
}

// sections prints runs of items that belong together, with a line between.
func (o *Options) sections(n int, together func(i, j int) bool, show func(from, to int) error) error {
	for from := 0; from < n; {
		to := from + 1
		for to < n && together(from, to) {
			to++
		}
		if from > 0 {
			fmt.Fprintln(o.Out)
		}
		if err := show(from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}
