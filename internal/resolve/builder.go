package resolve

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// builder holds one Build while it runs: what it reads, and what it has
// learned so far about references, reports and times.
type builder struct {
	snap *snapshot.Snapshot
	// refs maps each named object to the Gateways that need it, in the order
	// they were recorded; Build sorts and compacts them at the end.
	refs    map[gwapi.Key][]gwapi.Key
	reports report.Set
	next    time.Time
	// gateways are ours, by namespace and name; byKey finds them again.
	gateways []*gatewayNode
	byKey    map[gwapi.Key]*gatewayNode
	// foreign are the Gateways of other controllers.
	foreign map[gwapi.Key]*gatewayNode
	// sets are the listeners of the ListenerSets on foreign Gateways.
	sets map[gwapi.Key][]*listenerNode
	// grants are the usable ReferenceGrants of each namespace, by name.
	grants map[string][]*gatewayv1.ReferenceGrant
	// keyPairs are the Secrets read for listeners so far.
	keyPairs map[gwapi.Key]keyPairResult
	// bundles are the certificates and revocation lists read so far.
	bundles *bundles
}

// reach is one port of a Service that a route of one of our accepted Gateways
// refers to: grants are checked, the Service and its port exist.
type reach struct {
	Gateway, Service gwapi.Key
	Port             corev1.ServicePort
	// Protocol is what the route speaks to it; routes of several kinds may lead to
	// one port.
	Protocol model.BackendProtocol
}

// tlsDecision is what policies (or their absence) mean for a reach.
type tlsDecision struct {
	// Decision is the policy's; nil where no policy targets the port.
	Decision *model.Decision
	// Trust is what Envoy enforces, Written what it would enforce without a
	// mode. A nil Trust with an empty FaultReason means that plaintext is right.
	Trust, Written *model.Trust
	// FaultReason and Fault say why requests answer 500; "" if they do not.
	FaultReason, Fault string
	// RouteReason is the reason of the route's ResolvedRefs=False because of
	// Fault; "" keeps ResolvedRefs True, with a message that names the policy.
	RouteReason gatewayv1.RouteConditionReason
}

func newBuilder(snap *snapshot.Snapshot) *builder {
	b := &builder{
		snap:     snap,
		refs:     make(map[gwapi.Key][]gwapi.Key, snap.Services.Len()),
		reports:  make(report.Set, snap.HTTPRoutes.Len()),
		byKey:    map[gwapi.Key]*gatewayNode{},
		foreign:  map[gwapi.Key]*gatewayNode{},
		sets:     map[gwapi.Key][]*listenerNode{},
		grants:   grantsByNamespace(snap),
		keyPairs: map[gwapi.Key]keyPairResult{},
	}
	b.bundles = newBundles(b)
	return b
}

// grantsByNamespace leaves out the grants whose content is contradictory or
// invalid: what they meant to permit is not known.
func grantsByNamespace(snap *snapshot.Snapshot) map[string][]*gatewayv1.ReferenceGrant {
	grants := map[string][]*gatewayv1.ReferenceGrant{}
	for _, grant := range snap.ReferenceGrants.Sorted() {
		key := gwapi.KeyOf(gwapi.KindReferenceGrant, grant.Namespace, grant.Name)
		if _, broken := snap.Faults[key]; !broken {
			grants[grant.Namespace] = append(grants[grant.Namespace], grant)
		}
	}
	return grants
}

// ref records that the Gateway's answer depends on the object, whether the
// object exists or not. The zero Gateway stands for none: only a class does.
func (b *builder) ref(gateway, object gwapi.Key) {
	known := b.refs[object]
	if gateway.IsZero() {
		b.refs[object] = known
		return
	}
	if len(known) > 0 && known[len(known)-1] == gateway {
		return
	}
	b.refs[object] = append(known, gateway)
}

// deadline records a time at which the answer changes; the past changes
// nothing any more.
func (b *builder) deadline(t time.Time) {
	if t.After(b.snap.Now) && (b.next.IsZero() || t.Before(b.next)) {
		b.next = t
	}
}

// sortedRefs is what was recorded, each list sorted and without repetition.
func (b *builder) sortedRefs() map[gwapi.Key][]gwapi.Key {
	for object, gateways := range b.refs {
		slices.SortFunc(gateways, gwapi.CompareKeys)
		b.refs[object] = slices.Compact(gateways)
	}
	return b.refs
}
