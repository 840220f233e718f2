package resolve

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// tlsPolicies is what the BackendTLSPolicies of a snapshot mean for the ports
// that our Gateways reach.
type tlsPolicies struct {
	b       *builder
	targets tlsTargets
	bundles *bundles
	// broken are policies by namespace of which not everything that they target is
	// known, so any port of their namespace may be meant.
	broken     map[string][]brokenPolicy
	parameters map[gwapi.Key]parameterResult
	judged     map[gwapi.Key]*tlsPolicy
	// standings are the policies on the Gateways that they concern.
	standings map[standingKey]*tlsStanding
	// clusters are the policies by cluster name, of the Gateways that were asked
	// about.
	clusters map[gwapi.Key]map[string]gwapi.Key
	// checked are the places of each policy's backends in the models of the Gateways
	// that were asked about.
	checked map[gwapi.Key]map[gwapi.Key][]int
	// ordered are the standings by policy and Gateway.
	ordered []*tlsStanding
}

// brokenPolicy is a policy and what is wrong with it.
type brokenPolicy struct {
	key   gwapi.Key
	fault string
}

// standingKey names a policy on a Gateway.
type standingKey struct{ policy, gateway gwapi.Key }

// newTLSPolicies judges every policy that concerns one of the reaches, and
// gives each a standing on each Gateway.
func newTLSPolicies(b *builder, reaches []reach) *tlsPolicies {
	p := &tlsPolicies{
		b:          b,
		targets:    newTLSTargets(b.snap),
		bundles:    b.bundles,
		broken:     map[string][]brokenPolicy{},
		parameters: map[gwapi.Key]parameterResult{},
		judged:     map[gwapi.Key]*tlsPolicy{},
		standings:  map[standingKey]*tlsStanding{},
		clusters:   map[gwapi.Key]map[string]gwapi.Key{},
		checked:    map[gwapi.Key]map[gwapi.Key][]int{},
	}
	p.findBroken()
	for _, r := range reaches {
		decider, decided := p.targets.decider(r.Service, r.Port)
		for _, policy := range p.targets.concerned(r.Service, r.Port) {
			p.stand(policy, r.Gateway, decided && policy == decider, r)
		}
	}
	p.addLingering()
	p.ordered = make([]*tlsStanding, 0, len(p.standings))
	for _, standing := range p.standings {
		p.ordered = append(p.ordered, standing)
	}
	slices.SortFunc(p.ordered, compareStandings)
	p.assignSlots()
	for _, standing := range p.ordered {
		p.settle(standing)
	}
	return p
}

// findBroken looks for policies that may target more than they name. One that
// could not be read is known by its fault alone, or by what was made out of it.
func (p *tlsPolicies) findBroken() {
	for key, fault := range p.b.snap.Faults {
		if _, known := p.b.snap.TLSPolicies.Get(key.NamespacedName()); key.Kind == gwapi.KindBackendTLSPolicy && !known {
			p.broken[key.Namespace] = append(p.broken[key.Namespace], brokenPolicy{key, fault})
		}
	}
	for _, policy := range p.b.snap.TLSPolicies.Sorted() {
		fault := unknownTarget(policy)
		if fault == "" {
			continue
		}
		key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
		if said, found := p.b.snap.Faults[key]; found {
			fault = said
		}
		p.broken[key.Namespace] = append(p.broken[key.Namespace], brokenPolicy{key, fault})
	}
	for _, policies := range p.broken {
		slices.SortFunc(policies, func(a, b brokenPolicy) int { return gwapi.CompareKeys(a.key, b.key) })
	}
}

func compareStandings(a, b *tlsStanding) int {
	return cmp.Or(gwapi.CompareKeys(a.policy, b.policy), gwapi.CompareKeys(a.gateway, b.gateway))
}

// stand makes sure that a policy has a standing on a Gateway.
func (p *tlsPolicies) stand(policy, gateway gwapi.Key, decides bool, r reach) {
	key := standingKey{policy, gateway}
	standing, known := p.standings[key]
	if !known {
		object, found := p.b.snap.TLSPolicies.Get(policy.NamespacedName())
		if _, exists := p.b.snap.Gateways.Get(gateway.NamespacedName()); !found || !exists {
			return
		}
		standing = &tlsStanding{
			policy: policy, gateway: gateway, live: liveEntryOf(object, gateway),
			protocols: map[string][]model.BackendProtocol{},
		}
		p.standings[key] = standing
	}
	if decides {
		port := portName(r)
		if len(standing.protocols[port]) == 0 {
			standing.ports = append(standing.ports, port)
		}
		standing.protocols[port] = append(standing.protocols[port], r.Protocol)
	}
}

// portName is the form of a Service's port in messages.
func portName(r reach) string {
	if r.Port.Name != "" {
		return fmt.Sprintf("%s port %s", r.Service, r.Port.Name)
	}
	return fmt.Sprintf("%s port %d", r.Service, r.Port.Port)
}

// addLingering adds the Gateways that no longer reach a policy while an Envoy
// of theirs may still use one of its insecure clusters: the status that says so
// stays until that is over.
func (p *tlsPolicies) addLingering() {
	for gateway, envoys := range p.b.snap.Observed.Envoys {
		for _, envoy := range envoys {
			for _, cluster := range envoy.Held {
				if cluster.Mode.Insecure() {
					p.stand(cluster.Policy, gateway, false, reach{})
				}
			}
		}
	}
	for _, object := range p.b.snap.TLSPolicies.Sorted() {
		policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
		for i := range object.Status.Ancestors {
			entry := &object.Status.Ancestors[i]
			gateway, isGateway := gwapi.ParentKey(&entry.AncestorRef, object.Namespace)
			if entry.ControllerName != gwapi.ControllerName || !isGateway || gateway.Kind != gwapi.KindGateway {
				continue
			}
			live := liveEntryOf(object, gateway)
			if told, _ := heldModes(p.b.snap.Observed.Envoys[gateway], policy, live); told != model.Standard {
				p.stand(policy, gateway, false, reach{})
			}
		}
	}
}

// judge judges a policy once, and records what it names for each Gateway.
func (p *tlsPolicies) judge(policy, gateway gwapi.Key) *tlsPolicy {
	judged, known := p.judged[policy]
	if !known {
		object, found := p.b.snap.TLSPolicies.Get(policy.NamespacedName())
		if !found {
			return nil
		}
		judged = judgePolicy(p.bundles, gateway, object)
		p.judged[policy] = judged
	}
	for _, object := range judged.objects {
		p.b.ref(gateway, object)
	}
	for _, target := range targetsOf(judged.object) {
		p.b.ref(gateway, target.service)
	}
	return judged
}

// parametersOf combines the GatewayParameters of a Gateway once.
func (p *tlsPolicies) parametersOf(gateway gwapi.Key) parameterResult {
	if known, found := p.parameters[gateway]; found {
		return known
	}
	result := parameterResult{Fault: gateway.String() + " does not exist"}
	if object, found := p.b.snap.Gateways.Get(gateway.NamespacedName()); found {
		result = p.b.parameters(object)
	}
	p.parameters[gateway] = result
	return result
}

// decide says what the policies, or their absence, mean for a reach.
func (p *tlsPolicies) decide(r reach) tlsDecision {
	policy, found := p.targets.decider(r.Service, r.Port)
	if !found {
		return p.decideWithoutPolicy(r)
	}
	standing, known := p.standings[standingKey{policy, r.Gateway}]
	if !known || standing.judged == nil {
		return tlsDecision{
			FaultReason: string(report.PolicyReasonUnseen),
			Fault:       fmt.Sprintf("%s decides %s, but was not judged for %s", policy, portName(r), r.Gateway),
		}
	}
	return standing.decide(r)
}

// decideWithoutPolicy is plaintext, except where that would be a leak.
func (p *tlsPolicies) decideWithoutPolicy(r reach) tlsDecision {
	namespace := r.Service.Namespace
	if reason, hidden := p.b.hidden(gwapi.KindBackendTLSPolicy, namespace); hidden {
		return tlsDecision{
			FaultReason: string(report.PolicyReasonUnseen),
			Fault: fmt.Sprintf("the BackendTLSPolicies of namespace %s could not be read, so whether one targets %s is "+
				"unknown: %s", namespace, portName(r), reason),
		}
	}
	if broken := p.broken[namespace]; len(broken) > 0 {
		return tlsDecision{
			FaultReason: string(report.PolicyReasonInvalid),
			Fault: fmt.Sprintf("%s is not usable, so whether it targets %s is unknown, and nothing in its namespace is "+
				"spoken to in plaintext until it is repaired or removed: %s",
				broken[0].key, portName(r), broken[0].fault),
			RouteReason: routeReason(r.Port),
		}
	}
	if !requiresTLS(r.Port) {
		return tlsDecision{}
	}
	return tlsDecision{
		FaultReason: string(gatewayv1.RouteReasonUnsupportedProtocol),
		Fault: fmt.Sprintf("%s has appProtocol %s and is never spoken to in plaintext, but no BackendTLSPolicy in "+
			"namespace %s targets it; add one with targetRefs {group: \"\", kind: Service, name: %s%s}",
			portName(r), *r.Port.AppProtocol, namespace, r.Service.Name, sectionHint(r.Port)),
		RouteReason: gatewayv1.RouteReasonUnsupportedProtocol,
	}
}

func sectionHint(port corev1.ServicePort) string {
	if port.Name == "" {
		return ""
	}
	return ", sectionName: " + port.Name
}
