package command

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// commit writes the files of a draft, or prints the manifest where that was
// not asked for. Done is what to say of the policy afterwards: "pinned".
func (o *Options) commit(d *draft, f *WriteFlags, done string) error {
	if !d.changes() {
		done = "unchanged"
	}
	if f.writes() {
		if err := edit.Write(d.files); err != nil {
			return err
		}
		if f.format() == "" {
			_, err := fmt.Fprintf(o.Out, "btlspolicy/%s %s (%s)\n", d.policy.Name, done, untrusted.Text(d.written()))
			return err
		}
	}
	if err := o.printManifest(d, f.format()); err != nil {
		return err
	}
	switch {
	case f.writes() || !d.changes():
	case f.DryRun == dryRunClient:
		o.note("A dry run: nothing was written.")
	default:
		o.note("Nothing was written: --write writes %s.", d.written())
	}
	return nil
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
	if text := d.text(d.key()); text != "" {
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
	if text := d.text(key); text != "" {
		configMap = []byte(text)
	}
	return o.printText(string(configMap) + "---\n" + string(policy))
}

// text is the document of an object that is one by itself, as it stands in its
// file after the change; "" for one in a List, or in JSON.
func (d *draft) text(key gwapi.Key) string {
	places := d.next.Set.Places(key)
	if len(places) != 1 || places[0].Item >= 0 {
		return ""
	}
	content, _ := d.next.Content(places[0].File)
	documents := manifest.Documents(content)
	if places[0].Document >= len(documents) {
		return ""
	}
	document := documents[places[0].Document]
	text := string(content[document.Start:document.End])
	if first, rest, found := strings.Cut(text, "\n"); found && strings.TrimSpace(first) == "---" {
		text = rest
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") || strings.HasPrefix(text, "---") {
		return ""
	}
	return strings.TrimRight(text, "\r\n") + "\n"
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

// showChanges lists what the draft changes.
func showChanges(shown *view.Change, d *draft) {
	var lines []view.Line
	// The policy's file is the last one staged.
	file := d.files[len(d.files)-1].Path
	title, rest := "CHANGES", fmt.Sprintf("to btlspolicy/%s in %s", d.policy.Name, file)
	if d.created {
		title, rest = "NEW", fmt.Sprintf("btlspolicy/%s in %s", d.policy.Name, file)
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
			Sign: "+", Field: "configmap/" + d.configMap.Name, Value: "in " + d.files[0].Path,
		})
	}
	shown.Section(title, rest, lines)
}
