package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/view"
)

type fetchOptions struct {
	Options

	probe  ProbeFlags
	output OutputFlag
	choose SelectFlags
}

// NewFetch is `fetch`.
func NewFetch(base Options) *cobra.Command {
	o := &fetchOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "fetch TARGET ... | -l SELECTOR | -A",
		Short: "Show the certificates that the endpoints of a Service serve now",
		Long: `Show the certificates that the endpoints of a Service serve now: subject,
names, issuer, dates, key, TLS version and both fingerprints, replicas grouped
by key and certificate. Nothing is verified, and nothing but the handshake is
sent. An endpoint that is no TLS server is called what it is (SMTP before TLS,
HTTP without TLS, silent, unreachable), with the next step; one that wants a
client certificate is named with the CAs that it takes them of.

Endpoints are asked through the API server's port-forward, on the loopback of
their pods; --via direct dials their addresses from here. A probe looks like a
failed handshake in the log of the endpoint.

TARGET is svc/NAME[:PORT] or btlspolicy/NAME. With -l or -A: the ports that a
route references or a policy targets. Eight endpoints are asked at once, each
once; only if a named one seems not to know its server name, it is asked once
more without any. An endpoint that does not answer makes the exit code 1. Ctrl-C
prints what was fetched until then, and makes it 130.

` + rightsToRead + rightsToAsk,
		Example: example(base, `  # What do the endpoints serve?
  PROGRAM fetch svc/api

  # Everywhere: who serves what, until when?
  PROGRAM fetch -A

  # The chain as PEM
  PROGRAM fetch svc/api -o pem > chain.pem

  # An address that is in no EndpointSlice, by another server name
  PROGRAM fetch svc/api --address 10.0.0.7:8443 --sni api.internal`),
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.validate(args); err != nil {
				return err
			}
			return o.run(cmd.Context(), args)
		},
	}
	o.AddFileFlag(cmd)
	o.choose.AddTo(cmd)
	o.output.AddTo(cmd, append([]string{view.Table, view.Wide, view.Name, view.PEM}, view.Documents()...)...)
	o.probe.AddTo(cmd)
	return cmd
}

func (o *fetchOptions) validate(args []string) error {
	if len(args) == 0 && !o.choose.Lists() {
		return errors.New("nothing is named: want svc/NAME[:PORT], btlspolicy/NAME, -l SELECTOR or -A")
	}
	return errors.Join(o.choose.Validate(args), o.output.Validate(), o.probe.Validate())
}

func (o *fetchOptions) run(ctx context.Context, args []string) error {
	world, err := o.world(ctx, o.choose.AllNamespaces)
	if err != nil {
		return err
	}
	ports, missing := o.ports(world, args)
	if len(ports) == 0 && missing != nil {
		return missing
	}
	ports, observed, interrupted, err := o.answers(ctx, &o.probe, ports, len(args) > 0)
	if err != nil {
		return err
	}
	items := o.Assessor(world, &o.probe, observed).Certificates(ports, o.probe.Via)
	if err := o.print(world, items, len(args) > 0, interrupted != nil); err != nil {
		return err
	}
	if interrupted != nil {
		return interrupted
	}
	return errors.Join(incomplete(world, missing), unanswered(ports, items, len(args) > 0))
}

func (o *fetchOptions) ports(world *collect.World, args []string) ([]collect.Port, error) {
	if len(args) == 0 {
		return o.choose.ports(world, o.Namespace()), nil
	}
	return targets(world, o.Namespace(), args)
}

// unanswered is the error about endpoints that gave no certificate and, where
// ports were named, about those without any endpoint. In a list, an endpoint
// that speaks plaintext has answered.
func unanswered(ports []collect.Port, items []cliv1alpha1.EndpointCertificate, named bool) error {
	silent := 0
	for _, item := range items {
		plain := item.Fault == string(model.FaultPlaintext) || item.Fault == string(model.FaultStartTLS)
		if len(item.Chain) == 0 && (named || !plain) {
			silent++
		}
	}
	var faults []error
	if silent > 0 {
		faults = append(faults, fmt.Errorf("%d of %d endpoints gave no certificate", silent, len(items)))
	}
	for _, port := range ports {
		if named && len(port.Endpoints) == 0 {
			faults = append(faults, fmt.Errorf("svc/%s:%d has no ready endpoint in its EndpointSlices: "+
				"--address HOST:PORT asks another one", port.Service.Name, port.Spec.Port))
		}
	}
	return errors.Join(faults...)
}

func (o *fetchOptions) print(
	world *collect.World, items []cliv1alpha1.EndpointCertificate, named, interrupted bool,
) error {
	format, now := o.output.Format, world.Snapshot.Now
	switch {
	case view.IsDocument(format):
		return view.Document(o.Out, format, cliv1alpha1.EndpointCertificateList{
			Header: cliv1alpha1.NewHeader(cliv1alpha1.KindEndpointCertificateList),
			Items:  items, Interrupted: interrupted, Problems: assess.Problems(world.Problems),
		})
	case len(items) == 0 && (named || interrupted):
		return nil // The error says it.
	case len(items) == 0:
		o.nothing("endpoints", o.choose, world)
		return nil
	case format == view.PEM:
		return view.PEMs(o.Out, items)
	case format == view.Name:
		return o.printNames(len(items), func(i int) cliv1alpha1.PortReference { return items[i].Service }, o.choose)
	case format == view.Wide || !named:
		return view.CertificateList(o.Out, items, now, format == view.Wide, o.choose.AllNamespaces)
	default:
		fetched := view.Fetched{Style: o.Style(), Now: now}
		return o.sections(len(items), func(i, j int) bool { return items[i].Service == items[j].Service },
			func(from, to int) error { return fetched.Print(o.Out, items[from:to]) })
	}
}
