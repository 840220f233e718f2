package command

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// commit makes the change of a draft, or prints the manifest where that was not
// asked for. Done is what to say of the policy afterwards: "pinned".
func (o *Options) commit(ctx context.Context, d *draft, f *WriteFlags, done string) error {
	changes := d.changes()
	if !changes {
		done = "unchanged"
	}
	if f.writes() {
		if err := d.medium.write(ctx, d); err != nil {
			return err
		}
	}
	if err := o.printOutcome(d, f, done); err != nil {
		return err
	}
	cluster, live := d.medium.(*inCluster)
	switch {
	case f.writes() && live && changes:
		return o.await(ctx, d, cluster, f.Wait)
	case f.writes() || !changes:
	case f.DryRun == dryRunServer:
		o.note("A dry run: the API server would take it, and nothing was written.")
	case f.DryRun == dryRunClient:
		o.note("A dry run: nothing was written.")
	default:
		o.note("Nothing was written: --write writes %s.", d.medium.written())
	}
	return nil
}

// printOutcome prints what was asked for: what was done, or the manifest.
func (o *Options) printOutcome(d *draft, f *WriteFlags, done string) error {
	if !f.writes() || f.format() != "" {
		return o.printManifest(d, f.format())
	}
	where := ""
	if f.files {
		where = " (" + untrusted.Text(d.medium.written()) + ")"
	}
	_, err := fmt.Fprintf(o.Out, "btlspolicy/%s %s%s\n", d.policy.Name, done, where)
	return err
}

// printManifest prints the policy, and the ConfigMap that it needs. YAML is as
// it stands in the file, with the comments of its author.
func (o *Options) printManifest(d *draft, format string) error {
	if format == view.Name {
		_, err := fmt.Fprintf(o.Out, "backendtlspolicy.gateway.networking.k8s.io/%s\n", d.after.Name)
		return err
	}
	policy, err := document(d.after)
	if err != nil {
		return err
	}
	if format == view.JSON {
		compact, err := yaml.YAMLToJSON(policy)
		if err != nil {
			return err
		}
		indented, err := json.MarshalIndent(json.RawMessage(compact), "", "    ")
		if err != nil {
			return err
		}
		return o.printText(string(indented) + "\n")
	}
	if text := d.medium.text(d, d.key()); text != "" {
		policy = []byte(text)
	}
	if d.configMap == nil {
		return o.printText(string(policy))
	}
	configMap, err := document(d.configMap)
	if err != nil {
		return err
	}
	key := gwapi.KeyOf(gwapi.KindConfigMap, d.configMap.Namespace, d.configMap.Name)
	if text := d.medium.text(d, key); text != "" {
		configMap = []byte(text)
	}
	return o.printText(string(configMap) + "---\n" + string(policy))
}

// printText prints a manifest: to a terminal without what would drive it, to
// anything else as it is.
func (o *Options) printText(text string) error {
	if printers.IsTerminal(o.Out) {
		text = untrusted.Lines(text)
	}
	_, err := io.WriteString(o.Out, text)
	return err
}

// note prints a line for people on stderr.
func (o *Options) note(format string, args ...any) {
	fmt.Fprintln(o.ErrOut, untrusted.Lines(fmt.Sprintf(format, args...)))
}

// change starts what a verb shows before it asks.
func (o *Options) change(d *draft) *view.Change {
	onStderr := *o
	onStderr.Out = o.ErrOut
	return &view.Change{Style: onStderr.Style(), Now: d.world.Snapshot.Now}
}

// showChanges lists what the draft changes, and who else is concerned.
func showChanges(shown *view.Change, d *draft) error {
	var lines []view.Line
	title, rest := "CHANGES", fmt.Sprintf("to btlspolicy/%s in %s", d.policy.Name, d.medium.policyAt())
	if d.created {
		title, rest = "NEW", fmt.Sprintf("btlspolicy/%s in %s", d.policy.Name, d.medium.policyAt())
		target := string(d.policy.Spec.TargetRefs[0].Name)
		if section := d.policy.Spec.TargetRefs[0].SectionName; section != nil {
			target += " port " + string(*section)
		}
		lines = append(lines, view.Line{Sign: "+", Field: "target", Value: "svc/" + target},
			view.Line{Sign: "+", Field: "hostname", Value: string(d.policy.Spec.Validation.Hostname)})
		if wellKnown := d.policy.Spec.Validation.WellKnownCACertificates; wellKnown != nil {
			lines = append(lines, view.Line{Sign: "+", Field: "wellKnownCACertificates", Value: string(*wellKnown)})
		}
	}
	for _, difference := range d.edit.Differences(d.policy) {
		lines = append(lines, view.Line{
			Sign: string(difference.Sign), Field: difference.Field, Value: difference.Value,
		})
	}
	if d.configMap != nil {
		lines = append(lines, view.Line{
			Sign: "+", Field: "configmap/" + d.configMap.Name, Value: "in " + d.medium.configMapAt(),
		})
	}
	shown.Section(title, rest, lines)
	for _, unknown := range d.unknown {
		shown.Say("%s", unknown)
	}
	return d.medium.caution(d, shown)
}
