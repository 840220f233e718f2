package view

import (
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// Cells are what a list says of one path, for those who draw the list themselves.
// What there is nothing to say about is None.
type Cells struct {
	Service, Gateway, Route, Policy string
	// Mode is the mode by its name in the API; Left the time until it ends, or
	// where it stands.
	Mode, Left       string
	Verdict, Expires string
}

// None stands for nothing in a table, as in kubectl.
const None = none

// unseenCell stands for what could not be read.
const unseenCell = "<forbidden>"

// CellsOf are those of a path at a time.
func CellsOf(path cliv1alpha1.Path, now time.Time) Cells {
	mode, remaining := modeCells(path.Policy)
	gateway, route := qualified(path.Gateway, path.Service.Namespace), qualified(path.Route, path.Service.Namespace)
	if path.Mirror {
		route += mirrorMark
	}
	if path.Unseen != "" {
		gateway, route = unseenCell, unseenCell
	}
	return Cells{
		Service: service(path.Service), Gateway: gateway, Route: route, Policy: policyCell(path.Policy),
		Mode: mode, Left: remaining,
		Verdict: verified(path, now), Expires: orNone(firstExpiry(path.Endpoints, now)),
	}
}

// mirrorMark is behind a route that sends copies.
const mirrorMark = " (mirror)"
