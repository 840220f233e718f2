package tui

import (
	"fmt"
	"slices"
	"strings"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/view"
)

// chains are the certificates that the endpoints of a port served when they were
// asked, "" if they were not.
func (d *desk) chains(port cliv1alpha1.PortReference, style view.Style) string {
	p, ok := d.asked[anonymous(port)]
	if !ok {
		return ""
	}
	return d.served(p.Fetched, style)
}

// served is what endpoints served, grouped by key.
func (d *desk) served(fetched session.Fetched, style view.Style) string {
	items := slices.Clone(fetched.Endpoints)
	slices.SortStableFunc(items, func(a, b cliv1alpha1.EndpointCertificate) int {
		return strings.Compare(assess.LeafKey(a), assess.LeafKey(b))
	})
	var text strings.Builder
	if err := (view.Fetched{Style: style, Now: d.clock}).Print(&text, items); err != nil {
		return err.Error()
	}
	// The heading is in the header.
	_, body, _ := strings.Cut(text.String(), "\n")
	return body
}

// events are what was told about the policies and Gateways of paths, newest first.
func (d *desk) events(paths []cliv1alpha1.Path) string {
	about := map[cliv1alpha1.ObjectReference]bool{}
	for _, path := range paths {
		if path.Policy != nil {
			about[cliv1alpha1.ObjectReference{
				Kind: "BackendTLSPolicy", Namespace: path.Policy.Namespace, Name: path.Policy.Name,
			}] = true
		}
		if path.Gateway != nil {
			about[*path.Gateway] = true
		}
	}
	var text strings.Builder
	for _, event := range d.state.Events {
		if !about[event.Object] {
			continue
		}
		style := d.theme.faint
		if event.Type == "Warning" {
			style = d.theme.alarm
		}
		times := ""
		if event.Count > 1 {
			times = ", " + count(int(event.Count), "time")
		}
		kind := strings.Replace(strings.ToLower(event.Object.Kind), "backendtlspolicy", "btlspolicy", 1)
		fmt.Fprintf(&text, "  %s %s/%s, %s%s\n      %s\n",
			style.Render(event.Reason), kind, event.Object.Name, ago(d.clock.Sub(event.At)), times, event.Text)
	}
	return text.String()
}
