package resolve

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// Result is everything Build decided.
type Result struct {
	// Gateways are ours, by key.
	Gateways map[gwapi.Key]model.Gateway
	Reports  report.Set
	// Paths are every Gateway-route-Service path of every controller, sorted.
	Paths []model.Path
	// Refs maps each object that was named, existing or missing, to the
	// Gateways whose answer depends on it, sorted.
	Refs map[gwapi.Key][]gwapi.Key
	// NextDeadline is the next time at which Build would answer differently
	// for the same objects; zero for never.
	NextDeadline time.Time
}
