package xds

import "github.com/backendtls/backendtls/internal/gwapi"

// plan is a publication, encoded.
type plan struct {
	number uint64
	// epoch is the Gateway's when the plan was made: a withdrawal ends it.
	epoch  uint64
	shares map[gwapi.Key]string
	items  [kinds]map[string]*item
	// faults are the resources that are not valid. They are not sent, and count
	// as refused.
	faults map[resourceID]refusal
}

// newPlan marshals and checks every resource. It needs no lock.
func newPlan(j *job, epoch uint64) *plan {
	resources := j.publication.Resources
	p := &plan{
		number: j.number,
		epoch:  epoch,
		shares: j.publication.Shares,
		faults: make(map[resourceID]refusal),
	}
	for k := range kinds {
		p.items[k] = make(map[string]*item)
	}
	for name, cluster := range resources.Clusters {
		made, err := newCluster(name, cluster.Cluster, cluster.Held)
		p.add(resourceID{kind: clusters, name: name}, made, cluster.Held.Policy, err)
	}
	for name, secret := range resources.Secrets {
		made, err := newItem(secrets, name, secret)
		p.add(resourceID{kind: secrets, name: name}, made, gwapi.Key{}, err)
	}
	for name, listener := range resources.Listeners {
		made, err := newListener(name, listener)
		p.add(resourceID{kind: listeners, name: name}, made, gwapi.Key{}, err)
	}
	for name, route := range resources.Routes {
		made, err := newItem(routes, name, route)
		p.add(resourceID{kind: routes, name: name}, made, gwapi.Key{}, err)
	}
	return p
}

// add notes what became of a resource.
func (p *plan) add(id resourceID, made *item, policy gwapi.Key, err error) {
	if err != nil {
		p.faults[id] = refusal{policy: policy, unsent: true, words: clip(err.Error())}
		return
	}
	p.items[id.kind][id.name] = made
}
