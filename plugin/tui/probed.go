package tui

import (
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// probed is what verify found, and what it was found about.
type probed struct{ session.Probed }

// current is a path with what was found when its port was asked.
func (d *desk) current(path cliv1alpha1.Path) cliv1alpha1.Path { return path }
