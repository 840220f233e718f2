package xds

import "github.com/backendtls/backendtls/internal/gwapi"

// plan is a publication, marshalled.
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
	p.items[clusters] = make(map[string]*item, len(resources.Clusters))
	for name, cluster := range resources.Clusters {
		made, err := newCluster(name, cluster.Cluster, cluster.Held)
		p.add(resourceID{kind: clusters, name: name}, made, cluster.Held.Policy, err)
	}
	addAll(p, secrets, resources.Secrets)
	addAll(p, listeners, resources.Listeners)
	addAll(p, routes, resources.Routes)
	return p
}

func addAll[M message](p *plan, k kind, resources map[string]M) {
	p.items[k] = make(map[string]*item, len(resources))
	for name, resource := range resources {
		made, err := newItem(k, name, resource)
		p.add(resourceID{kind: k, name: name}, made, gwapi.Key{}, err)
	}
}

// add notes what became of a resource.
func (p *plan) add(id resourceID, made *item, policy gwapi.Key, err error) {
	if err != nil {
		p.faults[id] = refusal{policy: policy, unsent: true, words: clip(err.Error())}
		return
	}
	p.items[id.kind][id.name] = made
}
