package tui

import (
	"strings"

	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// trouble is what is shown instead of paths while there are none to be shown: a
// title, what is the matter, and what to do about it. It is "" if there are some,
// or if nothing is the matter.
func (d *desk) trouble() string {
	if !d.known {
		where := "namespace " + untrusted.Text(d.scope.Namespace)
		if d.scope.All {
			where = "all namespaces"
		}
		return "READING\n" + d.source + ", " + where + "…"
	}
	trouble := d.state.Trouble
	title := ""
	switch trouble.Kind {
	case session.NoTrouble:
		return ""
	case session.NoGatewayAPI:
		title = "NO GATEWAY API"
	case session.NoGateways:
		title = "NO GATEWAYS"
	case session.NothingVisible:
		title = "NOTHING TO BE SEEN"
	case session.Unreachable:
		title = "NO ANSWER"
	}
	if len(d.state.Paths) > 0 {
		return ""
	}
	parts := []string{title, trouble.Text}
	if len(trouble.Missing) > 0 {
		parts = append(parts, "", "What lacks:")
		for _, right := range trouble.Missing {
			parts = append(parts, "  "+right)
		}
	}
	if trouble.Next != "" {
		parts = append(parts, "", trouble.Next)
	}
	return strings.Join(parts, "\n")
}
