package resolve

import (
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Result is everything Build decided.
type Result struct {
	// Gateways are ours, by key.
	Gateways map[gwapi.Key]model.Gateway
	Reports  report.Set
	// Standings are what each policy comes to on each Gateway that it is reported
	// on, for metrics, sorted by policy and Gateway.
	Standings []model.Standing
	// Paths are every Gateway-route-Service path of every controller, sorted; nil
	// from Decide.
	Paths []model.Path
	// Refs maps each object that was named, existing or missing, to the
	// Gateways whose answer depends on it, sorted.
	Refs map[gwapi.Key][]gwapi.Key
	// NextDeadline is the next time at which Build would answer differently
	// for the same objects; zero for never.
	NextDeadline time.Time
}

// Build decides. The order is that of dependence: a listener is valid or not
// before any route is looked at; policies are judged once every port that is
// reached is known, because their status has room for so many Gateways only;
// statuses are written last, because they speak of the finished models.
func Build(snap *snapshot.Snapshot) Result {
	b := newBuilder(snap)
	result, routes, others := b.decide()
	result.Paths = b.paths(routes, others)
	result.Refs = b.sortedRefs() // Those of routes that nobody here serves are among them.
	return result
}

// Decide is Build without the Paths, and without the Refs of routes that only Paths
// are about, for those who do not show them. There is one for each backend of each
// rule on each listener, those of other controllers' Gateways included: a few
// routes of one author can have hundreds of thousands.
func Decide(snap *snapshot.Snapshot) Result {
	b := newBuilder(snap)
	result, _, _ := b.decide()
	result.Refs = b.sortedRefs()
	return result
}

// decide is all but Paths and Refs.
func (b *builder) decide() (result Result, routes []*routeNode, others []*otherRoute) {
	b.classes()
	b.collectGateways()
	b.listenerSets()
	routes, others = b.routes(), b.otherRoutes()

	reached := reaches(routes)
	policies := newTLSPolicies(b, reached)
	b.compile(routes, reached, policies)
	gateways := b.buildModels(policies)

	b.reportRoutes(routes, others)
	b.reportGateways(policies)
	policies.report(gateways)
	b.reports.Stamp(b.snap.Now)
	return Result{
		Gateways:     gateways,
		Reports:      b.reports,
		Standings:    policies.counted(),
		NextDeadline: b.next,
	}, routes, others
}

// routes are those of the kinds that our listeners take, by kind and name.
func (b *builder) routes() []*routeNode {
	routes := slices.Concat(b.httpRoutes(), b.grpcRoutes())
	all := slices.Concat(routes, b.tlsRoutes())
	boundRoutes(all)
	separateKinds(routes)
	return all
}
