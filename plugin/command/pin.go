package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/collect"
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

// AddTo adds the flags.
func (f *CreateFlags) AddTo(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.PolicyName, "policy-name", "", "Name of a created policy (default: the Service's)")
	cmd.Flags().StringVar(&f.Hostname, "hostname", "",
		"spec.validation.hostname of a created policy (default: the only DNS name served, else NAME.NAMESPACE.svc)")
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
  --form certificate  the certificates' fingerprints: every renewal breaks it
  --form leaf         the certificates, in a ConfigMap: dates and names are checked too
  --form ca           the CA that the endpoints present, in standard fields that every
                      Gateway API implementation knows

This is trust on first use: whoever answers now is trusted from now on. If
policy pins exist and no endpoint matches any of them, somebody else answers:
that is a key change, shown side by side and confirmed by typing the policy's
name, or by --replace.

Without --write the resulting manifest is printed and nothing is changed.`,
		Example: example(base, `  # See what would be pinned
  PROGRAM pin svc/api -f DIR

  # Pin, after a question
  PROGRAM pin svc/api -f DIR --write

  # Prepare a rotation: trust the live key and the next one
  PROGRAM pin svc/api --and-next next.csr -f DIR --write`),
		Args:              oneTarget,
		ValidArgsFunction: o.completeTargets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(o.write.Validate(), o.probe.Validate()); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd, args[0])
		},
	}
	o.AddFileFlag(cmd)
	o.write.AddTo(cmd)
	o.create.AddTo(cmd)
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
		return fmt.Errorf("%d targets are named: a change is made to one at a time", len(args))
	}
}

func (o *pinOptions) run(ctx context.Context, cmd *cobra.Command, arg string) error {
	form := edit.Form(o.form)
	if !slices.Contains(edit.Forms, form) {
		return fmt.Errorf("--form is %q: want spki, certificate, leaf or ca", o.form)
	}
	next, err := readNext(o.next)
	if err != nil {
		return err
	}
	world, port, err := o.writable(cmd, arg)
	if err != nil {
		return err
	}
	if form != edit.FormCA {
		if err := attached(port, o.allowUnattached, o.portable(port)); err != nil {
			return err
		}
	}
	live, err := o.live(ctx, port)
	if err != nil {
		return err
	}
	d, err := o.start(world, port, live)
	if err != nil {
		return err
	}
	pinning, err := edit.Pin(d.policy, edit.Request{
		Form: form, Live: live, Next: next, Current: currentPins(port),
		ConfigMap: ownConfigMap(world, d), Now: world.Snapshot.Now,
	})
	if err != nil {
		return err
	}
	d.edit, d.configMap = pinning.Edit, pinning.ConfigMap
	if err := d.preview(); err != nil {
		return err
	}
	if err := d.judge(); err != nil {
		return err
	}
	o.show(d, form, live, pinning)
	if err := o.confirm(d, pinning); err != nil {
		return err
	}
	return o.commit(d, &o.write, "pinned")
}

// start is the draft: the policy that decides, or a new one.
func (o *pinOptions) start(world *collect.World, port collect.Port, live []edit.Live) (*draft, error) {
	if port.Policy != nil {
		if err := single(port.Policy, o.write.AllTargets); err != nil {
			return nil, err
		}
		return &draft{world: world, port: port, policy: port.Policy}, nil
	}
	return newDraft(world, port, edit.Create{
		Name: o.create.PolicyName, Hostname: o.create.Hostname, Live: live, WellKnown: edit.PinnedOnly,
	})
}

// newDraft starts from a policy that does not exist yet.
func newDraft(world *collect.World, port collect.Port, create edit.Create) (*draft, error) {
	service, found := world.Snapshot.Services.Get(port.Service.NamespacedName())
	if !found {
		return nil, fmt.Errorf("svc/%s is gone", port.Service.Name)
	}
	create.Service, create.Port = service, port.Spec
	policy := create.Policy()
	name := types.NamespacedName{Namespace: policy.Namespace, Name: policy.Name}
	if _, exists := world.Snapshot.TLSPolicies.Get(name); exists {
		return nil, fmt.Errorf("btlspolicy/%s exists already and does not decide about svc/%s:%d: "+
			"choose another --policy-name", policy.Name, port.Service.Name, port.Spec.Port)
	}
	return &draft{world: world, port: port, policy: policy, created: true}, nil
}

// portable is the command that every implementation obeys the outcome of.
func (o *Options) portable(port collect.Port) string {
	return fmt.Sprintf("%s pin svc/%s --form ca", o.Program, port.Service.Name)
}

// writable reads the world and finds the one port that a verb changes.
func (o *Options) writable(cmd *cobra.Command, arg string) (*collect.World, collect.Port, error) {
	world, err := o.World(cmd)
	if err != nil {
		return nil, collect.Port{}, err
	}
	ports, err := targets(world, o.Namespace(), []string{arg})
	if err != nil {
		return nil, collect.Port{}, err
	}
	if len(ports) != 1 {
		return nil, collect.Port{}, fmt.Errorf("%s decides about %d ports: name one of them as svc/NAME:PORT", arg, len(ports))
	}
	port := ports[0]
	if fault, broken := world.Snapshot.Faults[port.Service]; broken {
		return nil, collect.Port{}, fmt.Errorf("svc/%s: %s", port.Service.Name, fault)
	}
	return world, port, nil
}

// live asks every endpoint. All of them must answer: what is not seen would
// not be trusted, and a pod that was only slow would be refused from then on.
func (o *pinOptions) live(ctx context.Context, port collect.Port) ([]edit.Live, error) {
	ports, err := o.Redirect(ctx, &o.probe, []collect.Port{port})
	if err != nil {
		return nil, err
	}
	observed, err := o.Observe(ctx, &o.probe, ports)
	if err != nil {
		return nil, err
	}
	return liveOf(ports[0], o.probe.ServerName(port), observed)
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

// currentPins are the pins that the policy enforces, or would without its mode.
func currentPins(port collect.Port) []pin.Pin {
	if port.Strict.Policy == nil || port.Strict.Policy.Written == nil {
		return nil
	}
	return port.Strict.Policy.Written.Leaves
}

// ownConfigMap is the live ConfigMap of the name that the draft may write.
func ownConfigMap(world *collect.World, d *draft) *corev1.ConfigMap {
	name := types.NamespacedName{Namespace: d.policy.Namespace, Name: edit.ConfigMapName(d.policy.Name)}
	live, _ := world.Snapshot.ConfigMaps.Get(name)
	return live
}

// show says what was found and what would change.
func (o *pinOptions) show(d *draft, form edit.Form, live []edit.Live, pinning edit.Pinning) {
	o.note("svc/%s:%d in namespace %s, %s:", d.port.Service.Name, d.port.Spec.Port, d.port.Service.Namespace,
		counted(len(live), "endpoint"))
	for _, line := range describeLive(form, live) {
		o.note("  %s", line)
	}
	if pinning.KeyChange {
		o.note("KEY CHANGE: no endpoint matches what is pinned now.")
		o.note("  pinned  %s", texts(pinning.Old))
		o.note("  served  %s", texts(pinning.New))
	}
	o.showChanges(d)
	o.note("This is trust on first use: whoever answers now is trusted from now on.")
	o.note("%s", o.breaks(form, pinning))
	if patch := appProtocolPatch(d.port); patch != "" {
		o.note("So that deleting the policy can never leak plaintext, set appProtocol on the Service's port\n"+
			"(not where GKE's own gateway serves it: there the same line turns on unverified TLS):\n  %s", patch)
	}
}

// breaks says when the pin stops matching.
func (o *pinOptions) breaks(form edit.Form, pinning edit.Pinning) string {
	date := pinning.Breaks.UTC().Format(time.DateOnly)
	switch form {
	case edit.FormCA:
		return "It holds as long as the CA issues the certificates."
	case edit.FormSPKI:
		return "It breaks when an endpoint gets a new key, with most issuers at every renewal, the latest being due by " +
			date + ": add the next key before, with --and-next."
	default:
		return "It breaks at the next renewal, due by " + date + ": add the next certificate before, with --and-next."
	}
}

// confirm asks. A key change wants the name typed, or --replace; --yes alone
// is too easily said.
func (o *pinOptions) confirm(d *draft, pinning edit.Pinning) error {
	switch {
	case pinning.KeyChange && !o.replace && !(o.write.Write && o.interactive()):
		return errors.New("this is a key change: no endpoint matches what is pinned; " +
			"if the new key is right, add --replace (--yes alone does not replace a key)")
	case !o.write.Write:
		return nil
	case pinning.KeyChange && !o.replace:
		return o.askName("Somebody else answers than who was pinned.", d.policy.Name)
	default:
		return o.ask("Write "+d.written()+"?", o.write.Yes)
	}
}

func texts(pins []pin.Pin) string {
	if len(pins) == 0 {
		return "the CA"
	}
	list := make([]string, len(pins))
	for i, one := range pins {
		list[i] = one.String()
	}
	return strings.Join(list, " ")
}

func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
