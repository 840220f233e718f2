package command

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/target"
)

type pinOptions struct {
	Options

	probe  ProbeFlags
	write  WriteFlags
	create CreateFlags

	form            string
	next            []string
	replace         bool
	allowUnattached bool
}

// CreateFlags say what a created policy is like.
type CreateFlags struct{ session.Naming }

// AddTo adds the flags; otherwise says what the hostname is without one.
func (f *CreateFlags) AddTo(cmd *cobra.Command, otherwise string) {
	cmd.Flags().StringVar(&f.PolicyName, "policy-name", "", "Name of a created policy (default: the Service's)")
	cmd.Flags().StringVar(&f.Hostname, "hostname", "",
		"spec.validation.hostname of a created policy (default: "+otherwise+")")
}

// What --help says of it.
const (
	pinLong = `Trust exactly the keys or certificates that the endpoints serve now.

Asks every endpoint of TARGET (svc/NAME[:PORT] or btlspolicy/NAME) for its
certificate, shows what it found, asks, and writes:

  --form spki         the public keys (default): survives a renewal that keeps the key
  --form certificate  the fingerprints of the certificates: every renewal breaks it
  --form leaf         the certificates, in a ConfigMap: dates and names are checked too
  --form ca           the CA that the endpoints present, in standard fields that every
                      implementation of the Gateway API knows

A Service without a policy gets one, with -f in NAME.backendtls.yaml. All forms but ca
write options that only the Gateways of backendtls obey: where another
controller's Gateway leads to the Service, or none does, they are refused.

This is trust on first use: whoever answers now is trusted from now on. If
something is pinned and no endpoint serves it, somebody else answers. That is a
key change: old and new are shown side by side, and the name of the policy has to
be typed, or --replace --yes given where there is no terminal.

` + inClusters + `

` + withFiles + `

Rights, beside those of fetch:
  ` + rightsToCreate + `;
  ` + rightsToBundle + `.`
	pinExamples = `  # Pin, after a question
  PROGRAM pin svc/api

  # See what the API server would store
  PROGRAM pin svc/api --dry-run=server

  # See what would be pinned in manifests
  PROGRAM pin svc/api -f DIR

  # Pin there, after a question
  PROGRAM pin svc/api -f DIR --write

  # Prepare a rotation: trust the live key and the next one
  PROGRAM pin svc/api --and-next next.csr`
)

// NewPin is `pin`.
func NewPin(base Options) *cobra.Command {
	o := &pinOptions{Options: base}
	cmd := &cobra.Command{
		Use:               "pin TARGET",
		SuggestFor:        []string{"rotate"}, // It is a key of the screens.
		Short:             "Trust exactly the keys or certificates that the endpoints serve now",
		Long:              pinLong,
		Example:           example(base, pinExamples),
		Args:              oneTarget,
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			form := edit.CheckForm(edit.Form(o.form))
			if err := errors.Join(o.write.Validate(o.Filename), o.probe.Validate(), form); err != nil {
				return err
			}
			return o.run(cmd.Context(), args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.create.AddTo(cmd, "the only DNS name that is served, else NAME.NAMESPACE.svc")
	o.probe.AddTo(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.form, "form", string(edit.FormSPKI), "What to pin: spki, certificate, leaf or ca")
	flags.StringArrayVar(&o.next, "and-next", nil,
		"PEM `FILE` with a certificate, CSR or public key to trust as well; may be repeated")
	flags.BoolVar(&o.replace, "replace", false, "Replace pins that no endpoint matches (a key change)")
	flags.BoolVar(&o.allowUnattached, "allow-unattached", false, "Write although no Gateway of ours leads to the Service")
	return cmd
}

// oneTarget wants exactly one argument.
func oneTarget(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return fmt.Errorf("nothing is named: want %s", target.TargetForms)
	case 1:
		return nil
	default:
		return fmt.Errorf("%d targets are named: name one, a change is made to one at a time", len(args))
	}
}

func (o *pinOptions) run(ctx context.Context, arg string) error {
	next, err := readNext(o.next)
	if err != nil {
		return err
	}
	d, reference, err := o.drafter(ctx, arg, &o.write, &o.probe)
	if err != nil {
		return err
	}
	draft, err := d.Pin(ctx, reference, session.PinRequest{
		Naming: o.create.Naming, Form: edit.Form(o.form), Next: next, ServerName: o.probe.SNI,
		AllTargets: o.write.AllTargets, AllowUnattached: o.allowUnattached,
	})
	if err != nil {
		return o.above(err)
	}
	if err := o.show(draft); err != nil {
		return err
	}
	if draft.Changes() {
		if err := o.confirm(ctx, draft); err != nil {
			return err
		}
	}
	return o.commit(ctx, draft, &o.write)
}

// confirm asks. A key change wants the name typed, or --replace; --yes alone
// is too easily said.
func (o *pinOptions) confirm(ctx context.Context, draft *session.Plan) error {
	ask := draft.Confirmation()
	keyChange := ask.Type != ""
	switch {
	case keyChange && !o.replace && (!o.write.writes() || o.write.Yes || !o.interactive()):
		return errors.New("nothing was written: this is a key change, no endpoint serves what is pinned; " +
			"add --replace if the new key is right (--yes alone does not replace a key)")
	case !o.write.writes():
		return nil
	case keyChange && !o.replace:
		return o.askName(ctx, ask.Type)
	default:
		return o.ask(ctx, ask.Question, o.write.Yes)
	}
}

// readNext reads the files of --and-next.
func readNext(paths []string) ([]edit.Next, error) {
	var next []edit.Next
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--and-next: %w", err)
		}
		key, err := pin.OfPEM(pin.SPKI, content)
		if err != nil {
			return nil, fmt.Errorf("--and-next %s: %w", path, err)
		}
		next = append(next, edit.Next{Key: key, Certificate: certificateOf(content)})
	}
	return next, nil
}

// certificateOf is the certificate in a PEM file, nil where it holds a key or
// a request.
func certificateOf(content []byte) *x509.Certificate {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return certificate
}
