package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// act is what a key does with a port, on whatever screen: it fetches, copies, or
// begins a change that is offered.
func (d *desk) act(msg tea.KeyPressMsg, port cliv1alpha1.PortReference) tea.Cmd {
	switch {
	case pressed(msg, keyFetch):
		return tell(push{newFetch(d, port)})
	case pressed(msg, keyCopy):
		return d.copy(port)
	}
	for _, flow := range flows() {
		if !pressed(msg, flow.key) {
			continue
		}
		if why := d.forbidden(flow, port); why != "" {
			return tell(say{text: fmt.Sprintf("%s %s: %s", flow.key.Help().Desc, d.name(port), why), bad: true})
		}
		return tell(push{flow.begin(d, port)})
	}
	return nil
}

// forbidden says why a change is not offered for a port, "" if it is.
func (d *desk) forbidden(f flow, port cliv1alpha1.PortReference) string {
	if d.readOnly {
		return "--read-only was given"
	}
	why := ""
	for _, action := range f.actions {
		if why = d.ask(question{action: action, port: port}); why == "" {
			break
		}
	}
	return why
}

// question is whether an action is offered for a port.
type question struct {
	action session.Action
	port   cliv1alpha1.PortReference
}

// ask asks the Service, once until something may have changed: every frame shows
// which keys there are.
func (d *desk) ask(q question) string {
	why, known := d.answers[q]
	if !known {
		why = d.service.Forbidden(q.action, q.port)
		d.answers[q] = why
	}
	return why
}

// offered are the keys of the changes that are offered for a port.
func (d *desk) offered(port cliv1alpha1.PortReference) []key.Binding {
	var keys []key.Binding
	for _, flow := range flows() {
		if d.forbidden(flow, port) == "" {
			keys = append(keys, flow.key)
		}
	}
	return keys
}

// refused are the changes that are not offered for a port.
func (d *desk) refused(port cliv1alpha1.PortReference) []refusal {
	var list []refusal
	for _, flow := range flows() {
		if why := d.forbidden(flow, port); why != "" {
			list = append(list, refusal{binding: flow.key, why: why})
		}
	}
	return list
}

// verify asks the endpoints of a port.
func (d *desk) verify(
	port cliv1alpha1.PortReference,
) func(context.Context, session.Progress) (session.Probed, error) {
	service := d.service
	return func(ctx context.Context, progress session.Progress) (session.Probed, error) {
		return service.Verify(ctx, port, progress)
	}
}

// copy sends the YAML to the terminal's clipboard. Whether the terminal takes it,
// it does not say.
func (d *desk) copy(port cliv1alpha1.PortReference) tea.Cmd {
	service, name := d.service, d.name(port)
	return func() tea.Msg {
		manifest, err := service.Manifest(port)
		if err != nil {
			return say{text: "copy the YAML for " + name + ": " + err.Error(), bad: true}
		}
		lines := strings.Count(strings.TrimRight(manifest, "\n"), "\n") + 1
		return tea.BatchMsg{
			tea.SetClipboard(manifest),
			tell(say{text: fmt.Sprintf("sent the YAML for %s to the clipboard (%s)", name, count(lines, "line"))}),
		}
	}
}

// fault says what went wrong with something that was asked for. That it was
// cancelled is not wrong.
func (d *desk) fault(what string, err error) tea.Cmd {
	if errors.Is(err, context.Canceled) {
		return tell(say{text: what + ": cancelled", bad: true})
	}
	return tell(say{text: what + ": " + err.Error(), bad: true})
}

// warned says whether something is wrong with what was read.
func (d *desk) warned() bool { return len(d.state.Problems)+len(d.state.Warnings) > 0 }

// warnings is what is wrong with it.
func (d *desk) warnings(int) string {
	var text strings.Builder
	for _, problem := range d.state.Problems {
		place := problem.File
		if problem.Line > 0 {
			place = fmt.Sprintf("%s:%d", place, problem.Line)
		}
		if problem.Object != "" {
			place += ": " + problem.Object
		}
		fmt.Fprintf(&text, "%s: %s\n\n", place, problem.Message)
	}
	for _, warning := range d.state.Warnings {
		text.WriteString(warning + "\n\n")
	}
	return text.String()
}
