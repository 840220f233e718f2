package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/plugin/untrusted"
	"github.com/backendtls/backendtls/plugin/view"
)

// commit writes the files of a draft, or prints the manifest where that was
// not asked for. Done is what to say of the policy afterwards: "pinned".
func (o *Options) commit(d *draft, f *WriteFlags, done string) error {
	if !f.Write {
		return o.printManifest(d, f.Format.Format)
	}
	if f.ReadOnly {
		return errors.New("--read-only: nothing was written")
	}
	// What a policy refers to is written before the policy, so that it never
	// refers to what is not there.
	for _, file := range d.files {
		if err := file.Write(); err != nil {
			return err
		}
	}
	if f.Format.Format == view.YAML {
		fmt.Fprintf(o.Out, "btlspolicy/%s %s (%s)\n", d.policy.Name, done, untrusted.Text(d.written()))
		return nil
	}
	return o.printManifest(d, f.Format.Format)
}

// written names the files, as a person finds them.
func (d *draft) written() string {
	names := make([]string, len(d.files))
	for i, file := range d.files {
		names[i] = file.Path
		if relative, err := filepath.Rel(d.world.Directory(), file.Path); err == nil {
			names[i] = relative
		}
	}
	return strings.Join(names, ", ")
}

// printManifest prints the policy, and the ConfigMap that it needs.
func (o *Options) printManifest(d *draft, format string) error {
	policy, err := document(d.after)
	if err != nil {
		return err
	}
	switch format {
	case view.Name:
		_, err = fmt.Fprintf(o.Out, "backendtlspolicy.gateway.networking.k8s.io/%s\n", d.after.Name)
		return err
	case view.JSON:
		compact, err := yaml.YAMLToJSON(policy)
		if err != nil {
			return err
		}
		indented, err := json.MarshalIndent(json.RawMessage(compact), "", "    ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(o.Out, "%s\n", indented)
		return err
	}
	if d.configMap == nil {
		_, err = o.Out.Write(policy)
		return err
	}
	configMap, err := document(d.configMap)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.Out, "%s---\n%s", configMap, policy)
	return err
}

// note prints a line for people on stderr.
func (o *Options) note(format string, args ...any) {
	fmt.Fprintln(o.ErrOut, untrusted.Lines(fmt.Sprintf(format, args...)))
}

// showChanges lists the options that the draft changes.
func (o *Options) showChanges(d *draft) {
	title := "changes of"
	if d.created {
		title = "creates"
	}
	o.note("%s btlspolicy/%s in %s:", title, d.policy.Name, d.written())
	for _, change := range d.edit.Describe(d.policy) {
		o.note("  %s", untrusted.Text(change))
	}
}
