package tui

import (
	"charm.land/bubbles/v2/key"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// flow is the steps of a change: the key that begins them, the actions that they
// may come to, and the first screen. It is offered where one of the actions is.
type flow struct {
	key     key.Binding
	actions []session.Action
	begin   func(*desk, cliv1alpha1.PortReference) screen
}

// flows are those there are.
func flows() []flow {
	return []flow{
		{key: keyPin, actions: []session.Action{session.ActionPin}, begin: newPin},
		{key: keyUnpin, actions: []session.Action{session.ActionUnpin}, begin: newUnpin},
		{key: keyRotate, actions: []session.Action{session.ActionUnpin}, begin: newRotate},
		{key: keySkip, actions: []session.Action{session.ActionSkipOn, session.ActionSkipOff}, begin: newSkip},
	}
}
