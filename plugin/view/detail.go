package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// Detail prints everything about the paths to one port: what requests get and
// why first, then what leads to that verdict.
type Detail struct {
	Style Style
	Now   time.Time
	// Wide prints every check and every message.
	Wide bool
	// Live says that the objects are a cluster's.
	Live bool
}

// Print prints the paths, which all end at the same port.
func (d Detail) Print(w io.Writer, paths []cliv1alpha1.Path) error {
	if len(paths) == 0 {
		return nil
	}
	p := d.Style.page()
	p.line(d.Style.bold(heading(paths[0].Service)))
	d.verdicts(p, paths)
	d.routes(p, paths)
	d.policies(p, paths)
	d.endpoints(p, paths)
	shown := map[string]bool{}
	for _, path := range paths {
		d.conditions(p, path, shown)
	}
	return p.printTo(w)
}

func heading(port cliv1alpha1.PortReference) string {
	text := service(port)
	var more []string
	if port.PortName != "" {
		more = append(more, "port "+port.PortName)
	}
	if port.AppProtocol != "" {
		more = append(more, "appProtocol "+port.AppProtocol)
	}
	more = append(more, "namespace "+port.Namespace)
	return text + " (" + strings.Join(more, ", ") + ")"
}

// verdicts says each distinct verdict once, and what would fix it.
func (d Detail) verdicts(p *page, paths []cliv1alpha1.Path) {
	d.unserved(p, paths)
	seen := map[string]bool{}
	for _, path := range paths {
		key := fmt.Sprint(path.Verdict.Result, path.Verdict.Status, path.Verdict.Reason, path.Verdict.Message)
		if seen[key] {
			continue
		}
		seen[key] = true
		p.blank()
		verdict(p, d.Style, path.Verdict)
		switch {
		case path.Unseen != "":
			p.wrapped("  "+unseenCell+": ", 4, path.Unseen)
		case path.Gateway == nil:
			p.line("  no route leads to this port: no request reaches it")
		}
		d.degraded(p, path.Policy)
		fix(p, path.Verdict.Fix, d.Wide)
	}
}

// unserved names the listeners to which nobody can connect.
func (d Detail) unserved(p *page, paths []cliv1alpha1.Path) {
	seen := map[string]bool{}
	for _, path := range paths {
		listener := qualified(path.Gateway, path.Service.Namespace) + " " + path.Listener
		if path.ListenerFault == "" || seen[listener] {
			continue
		}
		if len(seen) == 0 {
			p.blank()
		}
		seen[listener] = true
		p.wrapped("  "+d.Style.bad("NOT SERVED")+": ", 7, "listener "+listener+": "+path.ListenerFault)
	}
}

// verdict says what a request gets and why.
func verdict(p *page, style Style, v cliv1alpha1.Verdict) {
	label := verdictCell(v)
	text := v.Message
	if text == "" {
		switch v.Result {
		case assess.Passes:
			text = "Envoy accepts the certificate of every endpoint"
		case assess.NotProbed:
			text = "the endpoints were not asked and the operator has not verified them"
		}
	}
	if v.Reason != "" && v.Result != assess.Plaintext && v.Result != assess.Foreign {
		text += " (" + v.Reason + ")"
	}
	p.wrapped("  "+paint(style, v, label)+": ", 7, text)
}

func paint(style Style, v cliv1alpha1.Verdict, text string) string {
	switch v.Result {
	case assess.Passes, assess.Passthrough:
		return style.good(text)
	case assess.NotProbed, assess.Plaintext, assess.Foreign, assess.Unseen:
		return style.alarm(text)
	case assess.Unreachable:
		if v.Status == 0 {
			return style.alarm(text) // Envoy may reach it all the same.
		}
		return style.bad(text)
	default:
		return style.bad(text)
	}
}

// degraded is the banner of a mode that is in force.
func (d Detail) degraded(p *page, policy *cliv1alpha1.Policy) {
	if policy == nil || policy.Mode.State != "Active" {
		return
	}
	banner := "VERIFICATION OFF"
	if policy.Mode.Enforced != "InsecureSkipVerification" {
		banner = "VERIFICATION WEAKENED"
	}
	_, remaining := modeCells(policy)
	text := fmt.Sprintf("mode %s, left: %s", policy.Mode.Enforced, remaining)
	if policy.Mode.Reason != "" {
		text += fmt.Sprintf(", reason: %q", policy.Mode.Reason)
	}
	p.wrapped("  "+d.Style.alarm(banner)+": ", 7, text+"; `skip-verify off` ends it")
}

// fix says what would make it pass: a command, else a change of the policy,
// else advice.
func fix(p *page, f *cliv1alpha1.Fix, withYAML bool) {
	if f == nil {
		return
	}
	const lead, indent = "  fix: ", len("  fix: ")
	further := strings.Repeat(" ", indent)
	switch {
	case f.Command != "":
		p.line(lead, f.Command)
	case f.YAML != "":
		p.line(lead, "change the policy:")
		p.block(indent+2, f.YAML)
	default:
		further = lead
	}
	if f.Message != "" {
		p.wrapped(further, indent, f.Message)
	}
	if withYAML && f.Command != "" && f.YAML != "" {
		p.line(strings.Repeat(" ", indent), "or change the policy:")
		p.block(indent+2, f.YAML)
	}
}

func (d Detail) routes(p *page, paths []cliv1alpha1.Path) {
	var table [][]string
	for _, path := range paths {
		if path.Gateway == nil {
			continue
		}
		hostnames := "every hostname"
		if len(path.Hostnames) > 0 {
			hostnames = strings.Join(path.Hostnames, ", ")
		}
		namespace, copies := path.Service.Namespace, ""
		if path.Mirror {
			copies = mirrorMark
		}
		table = append(table, []string{
			qualified(path.Gateway, namespace) + " " + path.Listener,
			fmt.Sprintf("%s rule %d%s", qualified(path.Route, namespace), path.Rule, copies),
			pathCell(path),
			hostnames,
		})
	}
	if len(table) > 0 {
		p.blank()
		p.line(d.Style.bold("PATHS"))
		p.rows(2, table)
	}
}

// policies prints what each policy comes to, once for the Gateways on which it
// comes to the same.
func (d Detail) policies(p *page, paths []cliv1alpha1.Path) {
	tables := map[string][][]string{}
	gateways := map[string][]string{}
	names := map[string]int{}
	for _, path := range paths {
		if path.Policy == nil {
			continue
		}
		table := policyRows(path.Policy, path.Ours || path.Gateway == nil)
		key := fmt.Sprint(path.Policy.Name, table)
		if tables[key] == nil {
			tables[key] = table
			names[path.Policy.Name]++
		}
		if gateway := qualified(path.Gateway, path.Service.Namespace); !slices.Contains(gateways[key], gateway) {
			gateways[key] = append(gateways[key], gateway)
		}
	}
	shown := map[string]bool{}
	for _, path := range paths {
		if path.Policy == nil {
			continue
		}
		key := fmt.Sprint(path.Policy.Name, policyRows(path.Policy, path.Ours || path.Gateway == nil))
		if shown[key] {
			continue
		}
		shown[key] = true
		title := "POLICY btlspolicy/" + path.Policy.Name
		if names[path.Policy.Name] > 1 {
			title += " on " + strings.Join(gateways[key], ", ")
		}
		p.blank()
		p.line(d.Style.bold(title))
		p.rows(2, tables[key])
	}
}

func policyRows(policy *cliv1alpha1.Policy, ours bool) [][]string {
	table := [][]string{{"Mode:", modeText(policy.Mode)}}
	if t := policy.Trust; t != nil {
		table = append(table, []string{"Trust:", trustText(policy)}, []string{"Names:", namesText(t)})
		for i, pin := range t.Pins {
			label := ""
			if i == 0 {
				label = "Pins:"
			}
			table = append(table, []string{label, pin})
		}
		if len(t.Pins) == 0 {
			table = append(table, []string{"Pins:", "none"})
		}
		if t.SNI != "" {
			table = append(table, []string{"SNI:", t.SNI})
		}
	} else if policy.Unseen != "" {
		table = append(table, []string{"Trust:", "not known: " + policy.Unseen})
	} else if ours {
		table = append(table, []string{"Trust:", "none: the policy is refused, requests get a 500"})
	} else {
		table = append(table, []string{"Trust:", "not known: by the standard the policy is not usable"})
	}
	for _, note := range policy.Notes {
		table = append(table, []string{"Note:", note})
	}
	if len(policy.IgnoredOptions) > 0 {
		whose := "options of others: "
		if !ours {
			whose = "options that are not read there: "
		}
		table = append(table, []string{"Ignored:", whose + strings.Join(policy.IgnoredOptions, ", ")})
	}
	return table
}

func modeText(mode cliv1alpha1.Mode) string {
	text := mode.Requested
	if mode.State != "" {
		text += ", " + StateWord(mode.State)
	}
	if mode.Since != nil {
		text += ", since " + mode.Since.UTC().Format(time.RFC3339)
	}
	if mode.Until != nil {
		text += ", until " + mode.Until.UTC().Format(time.RFC3339)
	}
	if mode.Reason != "" {
		text += fmt.Sprintf(", reason %q", mode.Reason)
	}
	return text
}

func trustText(policy *cliv1alpha1.Policy) string {
	text := trust(policy)
	if n := policy.Trust.Anchors; n > 0 {
		text += " (" + plural(n, "trusted certificate") + ")"
	}
	if policy.Trust.IgnoreTime {
		text += ", dates are not checked"
	}
	return text
}

func namesText(t *cliv1alpha1.Trust) string {
	if len(t.Names) == 0 {
		return "not checked"
	}
	return strings.Join(t.Names, " or ")
}

func (d Detail) conditions(p *page, path cliv1alpha1.Path, shown map[string]bool) {
	if len(path.Conditions) == 0 {
		return
	}
	title := fmt.Sprintf("CONDITIONS of btlspolicy/%s on %s",
		path.Policy.Name, qualified(path.Gateway, path.Service.Namespace))
	if shown[title] {
		return
	}
	shown[title] = true
	p.blank()
	p.line(d.Style.bold(title))
	table := make([][]string, len(path.Conditions))
	for i, c := range path.Conditions {
		table[i] = []string{c.Type, c.Status, c.Reason, d.source(c, path.Controller)}
	}
	for i, line := range aligned(table) {
		p.line("  ", line)
		c := path.Conditions[i]
		if c.Message != "" && (d.Wide || !asWished(c)) {
			p.wrapped("      ", 6, c.Message)
		}
	}
}

// source is who says so: the operator or another controller, with the age, or the
// files.
func (d Detail) source(c cliv1alpha1.Condition, controller string) string {
	if c.Source == "Controller" {
		text := "by " + controller
		if c.LastTransitionTime != nil {
			text += ", for " + duration.HumanDuration(d.Now.Sub(c.LastTransitionTime.Time))
		}
		if c.Outdated {
			text += ", of another generation"
		}
		return text
	}
	switch {
	case c.Source != "Operator" && d.Live:
		return "by the objects as they are, not yet in status"
	case c.Source != "Operator":
		return "by these files, not yet in status"
	case c.LastTransitionTime == nil:
		return "in status"
	default:
		return "in status, for " + duration.HumanDuration(d.Now.Sub(c.LastTransitionTime.Time))
	}
}

// asWished says whether a condition gives no cause to read its message.
func asWished(c cliv1alpha1.Condition) bool {
	if c.Type == "SecurityDegraded" {
		return c.Status == "False" && c.Reason == "Strict"
	}
	return c.Status == "True" || c.Reason == "NotProbed"
}
