package probe

import (
	"cmp"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Result is what is known of a port of a Service under a policy on a Gateway,
// for metrics. There is one for each such three.
type Result struct {
	Policy, Gateway, Service gwapi.Key
	Port                     int32
	// Probed is the zero value where nothing is known yet.
	Probed model.Probed
}

func compareResults(a, b Result) int {
	return cmp.Or(gwapi.CompareKeys(a.Policy, b.Policy), gwapi.CompareKeys(a.Gateway, b.Gateway),
		gwapi.CompareKeys(a.Service, b.Service), cmp.Compare(a.Port, b.Port))
}

// Results are all of them, sorted; none while this replica does not lead.
func (p *Prober) Results() []Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.term == nil {
		return nil
	}
	results := make([]Result, 0, len(p.subjects))
	for key, s := range p.subjects {
		for _, gateway := range s.gateways {
			results = append(results, Result{
				Policy: s.trust.Policy, Gateway: gateway, Service: key.Service, Port: key.Port, Probed: p.published[key],
			})
		}
	}
	slices.SortFunc(results, compareResults)
	return results
}
