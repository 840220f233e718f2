package tui

import (
	"context"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// desk is what all screens share. Only Update methods change it, and only one
// goroutine runs those.
type desk struct {
	// ctx ends when the program does; every screen derives its own from it.
	ctx      context.Context
	service  Service
	theme    theme
	program  string
	source   string
	readOnly bool
	now      func() time.Time
	// pause waits for a moment, or for the end of its context.
	pause func(context.Context)

	scope session.Scope
	// home is the namespace that one comes back to from all of them.
	home string
	// state is the newest one, if known; it came when the clock showed received.
	state    session.State
	known    bool
	received time.Time
	// active are the modes that are in force in it.
	active []mode
	// clock is the time by the clock that modes and dates are judged by, as of the
	// last message.
	clock time.Time
	// asked is what verify found, by port.
	asked map[cliv1alpha1.PortReference]probed
	// answers are what the Service said about which actions are offered, since a
	// message that may have changed that.
	answers map[question]string
	// numbers counts work.
	numbers int
}

// advance sets the clock.
func (d *desk) advance() {
	now := d.now()
	d.clock = now
	if d.known {
		d.clock = d.state.Now.Add(now.Sub(d.received)).In(now.Location())
	}
}

// take makes a state the one that is shown.
func (d *desk) take(state session.State) {
	d.state, d.known, d.received = state, true, d.now()
	d.active = d.modes(state.Paths)
	clear(d.answers)
	d.advance()
}

// forget knows nothing any more, because something else is looked at.
func (d *desk) forget() { d.state, d.known, d.active = session.State{}, false, nil }

// pathsOf are the paths to a port, with what was found when it was asked.
func (d *desk) pathsOf(port cliv1alpha1.PortReference) []cliv1alpha1.Path {
	var paths []cliv1alpha1.Path
	for _, path := range d.state.Paths {
		if samePort(path.Service, port) {
			paths = append(paths, d.current(path))
		}
	}
	return paths
}

// samePort compares ports by what names them.
func samePort(a, b cliv1alpha1.PortReference) bool {
	return a.Namespace == b.Namespace && a.Name == b.Name && a.Port == b.Port
}
