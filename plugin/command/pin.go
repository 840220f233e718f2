package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/edit"
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
type CreateFlags struct {
	// PolicyName is its name, Hostname its spec.validation.hostname.
	PolicyName, Hostname string
}

// AddTo adds the flags; otherwise says what the hostname is without one.
func (f *CreateFlags) AddTo(cmd *cobra.Command, otherwise string) {
	cmd.Flags().StringVar(&f.PolicyName, "policy-name", "", "Name of a created policy (default: the Service's)")
	cmd.Flags().StringVar(&f.Hostname, "hostname", "",
		"spec.validation.hostname of a created policy (default: "+otherwise+")")
}

// NewPin is `pin`.
func NewPin(base Options) *cobra.Command {
	o := &pinOptions{Options: base}
	cmd := &cobra.Command{
		Use:   "pin TARGET",
		Short: "Trust exactly the keys or certificates that the endpoints serve now",
		Long: `Trust exactly the keys or certificates that the endpoints serve now.

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
be typed, or --replace given where there is no terminal.

` + inClusters + `

` + withFiles + `

Rights, beside those of fetch:
  ` + rightsToCreate + `;
  ` + rightsToBundle + `.`,
		Example: example(base, `  # Pin, after a question
  PROGRAM pin svc/api

  # See what the API server would store
  PROGRAM pin svc/api --dry-run=server

  # See what would be pinned in manifests
  PROGRAM pin svc/api -f DIR

  # Pin there, after a question
  PROGRAM pin svc/api -f DIR --write

  # Prepare a rotation: trust the live key and the next one
  PROGRAM pin svc/api --and-next next.csr`),
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
	s, err := o.subject(ctx, arg)
	if err != nil {
		return err
	}
	if err := o.admit(s); err != nil {
		return err
	}
	seen, d, err := o.start(ctx, s)
	if err != nil {
		return err
	}
	request := edit.Request{
		Form: o.kind(), Live: seen.live, Next: next, Current: s.current(), Now: s.world.Snapshot.Now,
	}
	if o.kind() == edit.FormLeaf || o.kind() == edit.FormCA {
		if request.ConfigMap, err = o.bundle(ctx, s, d); err != nil {
			return err
		}
	}
	pinning, err := edit.Pin(d.policy, request)
	if err != nil {
		return err
	}
	d.edit, d.configMap = pinning.Edit, pinning.ConfigMap
	if err := o.preview(ctx, d, &o.write); err != nil {
		return err
	}
	faults, err := d.judge()
	if err != nil {
		return err
	}
	if err := o.show(s, d, seen, pinning, faults); err != nil {
		return err
	}
	if d.changes() {
		if err := o.confirm(ctx, d, pinning.KeyChange); err != nil {
			return err
		}
	}
	return o.commit(ctx, d, &o.write, "pinned")
}

func (o *pinOptions) kind() edit.Form { return edit.Form(o.form) }

// admit refuses before any endpoint is asked.
func (o *pinOptions) admit(s *subject) error {
	checks := []func() error{
		func() error { return o.create.check(s) },
		s.readable,
		s.counted,
		func() error { return s.single(&o.Options, o.write.AllTargets) },
	}
	if o.kind() != edit.FormCA {
		checks = append(checks, s.charted, func() error { return s.attached(o.allowUnattached, o.portable(s)) })
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// start asks the endpoints, and drafts the change of the policy that decides,
// or a new one.
func (o *pinOptions) start(ctx context.Context, s *subject) (*answers, *draft, error) {
	probe := o.probe
	if probe.SNI == "" {
		probe.SNI = o.create.Hostname
	}
	seen, err := o.fetch(ctx, &probe, s.ports)
	if err != nil {
		return nil, nil, err
	}
	create := edit.Create{
		Name: o.create.PolicyName, Hostname: o.create.Hostname, Live: seen.live, WellKnown: edit.PinnedOnly,
	}
	if o.kind() == edit.FormCA {
		create.WellKnown = ""
	}
	d, err := s.draft(create)
	if err != nil || !d.created || o.probe.SNI != "" {
		return seen, d, err
	}
	// Envoy will send the hostname of the policy: what counts is what the
	// endpoints serve for that name.
	if probe.SNI = string(d.policy.Spec.Validation.Hostname); probe.SNI != seen.serverName(s.port) {
		seen, err = o.fetch(ctx, &probe, s.ports)
	}
	return seen, d, err
}

// current is what the policy pins now.
func (s *subject) current() edit.Current {
	if s.policy == nil {
		return edit.Current{}
	}
	for _, port := range s.ports {
		if decision := port.Strict.Policy; decision != nil && decision.Written != nil {
			return edit.CurrentOf(s.policy, decision.Written.Leaves, false)
		}
	}
	return edit.CurrentOf(s.policy, nil, true)
}

// bundle is the live ConfigMap of the name that the draft may write, nil if there
// is none. Of a cluster the World holds only those that something refers to.
func (o *pinOptions) bundle(ctx context.Context, s *subject, d *draft) (*corev1.ConfigMap, error) {
	if !s.world.Live() {
		return s.configMap(d)
	}
	return o.liveConfigMap(ctx, gwapi.KeyOf(gwapi.KindConfigMap, d.policy.Namespace, edit.ConfigMapName(d.policy.Name)))
}

// configMap is the ConfigMap of the name that the draft may write, as far as the
// World has it; nil if there is none.
func (s *subject) configMap(d *draft) (*corev1.ConfigMap, error) {
	key := gwapi.KeyOf(gwapi.KindConfigMap, d.policy.Namespace, edit.ConfigMapName(d.policy.Name))
	if fault, broken := s.world.Snapshot.Faults[key]; broken {
		return nil, fmt.Errorf("configmap/%s cannot be changed before it is repaired: %s", key.Name, fault)
	}
	live, _ := s.world.Snapshot.ConfigMaps.Get(key.NamespacedName())
	return live, nil
}

// confirm asks. A key change wants the name typed, or --replace; --yes alone
// is too easily said.
func (o *pinOptions) confirm(ctx context.Context, d *draft, keyChange bool) error {
	switch {
	case keyChange && !o.replace && (!o.write.writes() || o.write.Yes || !o.interactive()):
		return errors.New("nothing was written: this is a key change, no endpoint serves what is pinned; " +
			"add --replace if the new key is right (--yes alone does not replace a key)")
	case !o.write.writes():
		return nil
	case keyChange && !o.replace:
		return o.askName(ctx, d.policy.Name)
	default:
		return o.ask(ctx, "Write "+d.medium.written()+"?", o.write.Yes)
	}
}
