package tui

import (
	"charm.land/bubbles/v2/key"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// flow is the steps of a change: the key that begins them, the action that they
// come to, and the first screen.
type flow struct {
	key    key.Binding
	action session.Action
	begin  func(*desk, cliv1alpha1.PortReference) screen
}

// flows are those there are.
func flows() []flow { return nil }
