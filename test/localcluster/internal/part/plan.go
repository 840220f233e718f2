package part

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/network"
)

// Node is the name of the first node.
const Node = "node-1"

// planFile is where the plan of a cluster is kept, below its directory.
const planFile = "plan.json"

// Plan is what was decided when the cluster was made.
type Plan struct {
	network.Addresses
	// Group is the control group that everything is below.
	Group string `json:"group"`
	// Builds says what the programs were built from, by component.
	Builds map[string]string `json:"builds"`
}

// Save writes the plan below the cluster's directory.
func (p Plan) Save(h home.Home) error {
	content, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("plan of the cluster: %w", err)
	}
	return h.Write(planFile, content, 0o644)
}

// Load reads the plan of the cluster; the error is fs.ErrNotExist if there is
// none. The directory is given as the caller sees it.
func Load(dir string) (Plan, error) {
	content, err := os.ReadFile(home.Home{Dir: dir}.Path(planFile))
	if err != nil {
		return Plan{}, fmt.Errorf("plan of the cluster: %w", err)
	}
	var plan Plan
	if err := json.Unmarshal(content, &plan); err != nil {
		return Plan{}, fmt.Errorf("plan of the cluster: %w", err)
	}
	return plan, nil
}

// Server is the URL of the API server.
func (p Plan) Server() string { return fmt.Sprintf("https://%s:6443", p.Node()) }
