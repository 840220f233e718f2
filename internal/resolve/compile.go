package resolve

import (
	"fmt"
	"slices"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// compiledRoute is a route on one Gateway of ours that takes it.
type compiledRoute struct {
	route *routeNode
	// bindings are the listeners, each once: either those that pass the client's
	// TLS on, or the others.
	bindings    []binding
	passthrough bool
	rules       []compiledRule
}

// compiledRule is a rule without its matches.
type compiledRule struct {
	rule   model.Rule
	source *httpRule
	// backends are in the order of the rule's; empty where the rule is refused.
	backends []compiledBackend
}

// compiledBackend is where one backend's share of requests goes.
type compiledBackend struct {
	// name is Backend.Name, "" where requests get a 500.
	name     string
	decision *model.Decision
	// reason and fault say why they do.
	reason, fault string
	// routeReason is that of the route's ResolvedRefs=False, "" where the route's
	// references resolve and only the policy is at fault.
	routeReason gatewayv1.RouteConditionReason
}

// reachKey tells reaches apart.
type reachKey struct {
	gateway, service gwapi.Key
	port             int32
	protocol         model.BackendProtocol
}

// decidedReach is a reach with the answer of the policies. Copies of requests are
// decided about as requests are, and have a Backend of their own.
type decidedReach struct {
	decision tlsDecision
	// backend is for requests; unused where they get a 500.
	backend model.Backend
	// requests and copies name the Backends for these, "" until there is one. A name
	// is a digest of the whole trust, so each is made once.
	requests, copies string
}

// name is that of the Backend for requests, or for copies of them, which it adds
// to the Gateway; "" where requests get a 500.
func (d *decidedReach) name(gateway *gatewayNode, copies bool) string {
	if d.decision.FaultReason != "" || d.decision.Fault != "" {
		return ""
	}
	name := &d.requests
	if copies {
		name = &d.copies
	}
	if *name == "" {
		backend := d.backend
		backend.Mirror = copies
		*name = gateway.addBackend(backend)
	}
	return *name
}

// reaches lists the ports that routes on our Gateways lead to, each once for
// each protocol, in the order of the routes. Where the client's TLS is passed on,
// no policy decides, so nothing is reached for them.
func reaches(routes []*routeNode) (list []reach) {
	seen := make(map[reachKey]bool, len(routes))
	list = make([]reach, 0, len(routes))
	for _, route := range routes {
		for _, a := range route.attachments {
			if !slices.ContainsFunc(a.bindings, binding.decided) || !isOurs(a.gateway.class) || a.gateway.refused != nil {
				continue
			}
			for i := range route.rules {
				rule := &route.rules[i]
				for j := range rule.backends {
					ref := &rule.backends[j]
					key := reachKey{a.gateway.key, ref.service, ref.number, ref.protocol}
					if ref.fault != "" || route.refuses(rule) || seen[key] {
						continue
					}
					seen[key] = true
					list = append(list, reach{
						Gateway: a.gateway.key, Service: ref.service, Port: ref.port, Protocol: ref.protocol,
					})
				}
			}
		}
	}
	return list
}

// compiler puts routes on Gateways.
type compiler struct {
	decided map[reachKey]*decidedReach
}

// compile decides every reach and puts each route on each of our Gateways that
// takes it.
func (b *builder) compile(routes []*routeNode, list []reach, policies *tlsPolicies) {
	c := compiler{decided: make(map[reachKey]*decidedReach, len(list))}
	for _, r := range list {
		c.decide(r, policies)
	}
	for _, route := range routes {
		for _, gateway := range route.ours() {
			bindings := bindingsOn(&route.routeView, gateway)
			decided := slices.DeleteFunc(slices.Clone(bindings), binding.undecided)
			c.put(gateway, &compiledRoute{route: route, bindings: decided})
			undecided := slices.DeleteFunc(bindings, binding.decided)
			c.put(gateway, &compiledRoute{route: route, bindings: undecided, passthrough: true})
		}
	}
}

// put compiles the rules of a route on a Gateway, if any listener takes it.
func (c *compiler) put(gateway *gatewayNode, compiled *compiledRoute) {
	if len(compiled.bindings) == 0 {
		return
	}
	compiled.rules = make([]compiledRule, len(compiled.route.rules))
	for i := range compiled.route.rules {
		compiled.rules[i] = c.rule(gateway, compiled, i)
	}
	gateway.routes = append(gateway.routes, compiled)
}

// decided says whether policies decide what the listener's backends are trusted
// by; undecided, that the client itself does.
func (b binding) decided() bool   { return !b.listener.passthrough() }
func (b binding) undecided() bool { return b.listener.passthrough() }

// bindingsOn are the listeners of a Gateway that take a route by any of its
// parentRefs, each once.
func bindingsOn(route *routeView, gateway *gatewayNode) (bindings []binding) {
	seen := map[*listenerNode]bool{}
	for _, a := range route.attachments {
		if a.gateway != gateway {
			continue
		}
		for _, bound := range a.bindings {
			if !seen[bound.listener] {
				seen[bound.listener] = true
				bindings = append(bindings, bound)
			}
		}
	}
	return bindings
}

// decide asks the policies about a reach.
func (c *compiler) decide(r reach, policies *tlsPolicies) {
	decision := policies.decide(r)
	c.decided[reachKey{r.Gateway, r.Service, r.Port.Port, r.Protocol}] = &decidedReach{
		decision: decision,
		backend: model.Backend{
			Service:  r.Service,
			Port:     r.Port.Port,
			PortName: r.Port.Name,
			Protocol: r.Protocol,
			Trust:    decision.Trust,
			Written:  decision.Written,
		},
	}
}

// addBackend makes sure that the Gateway has a Backend, and returns its name.
func (g *gatewayNode) addBackend(backend model.Backend) string {
	if backend.Trust != nil {
		backend.SessionLimit = g.parameters.sessionLimit
	}
	name := backend.Name()
	g.backends[name] = backend
	return name
}

// rule compiles the rule at an index. A refused rule has neither redirect nor
// split, which means 500.
func (c *compiler) rule(gateway *gatewayNode, on *compiledRoute, index int) compiledRule {
	route := on.route
	source := &route.rules[index]
	compiled := compiledRule{source: source, rule: model.Rule{Route: route.key, Index: index}}
	if route.refuses(source) || gateway.refused != nil {
		return compiled
	}
	compiled.rule.RequestHeaders = source.headers
	compiled.rule.Redirect = source.redirect
	compiled.backends = make([]compiledBackend, 0, len(source.backends))
	for i := range source.backends {
		ref := &source.backends[i]
		backend := c.backend(gateway, ref, on.passthrough)
		compiled.backends = append(compiled.backends, backend)
		switch {
		case ref.mirror == nil && ref.weight > 0:
			compiled.rule.Split = append(compiled.rule.Split, model.WeightedBackend{Backend: backend.name, Weight: ref.weight})
		case ref.mirror != nil && ref.mirror.Numerator > 0 && backend.name != "":
			mirror := *ref.mirror
			mirror.Backend = backend.name
			compiled.rule.Mirrors = append(compiled.rule.Mirrors, mirror)
		}
	}
	return compiled
}

func (c *compiler) backend(gateway *gatewayNode, ref *backendRef, passthrough bool) compiledBackend {
	if ref.fault != "" {
		return compiledBackend{reason: string(ref.reason), fault: ref.fault, routeReason: ref.reason}
	}
	if passthrough {
		return compiledBackend{name: gateway.addBackend(model.Backend{
			Service: ref.service, Port: ref.number, PortName: ref.port.Name, Protocol: ref.protocol,
		})}
	}
	answer, known := c.decided[reachKey{gateway.key, ref.service, ref.number, ref.protocol}]
	if !known {
		// Every backend that is not at fault was listed as a reach; were one not,
		// nothing is known about the trust that it needs.
		return compiledBackend{reason: "Undecided", fault: fmt.Sprintf("%s port %d was not decided", ref.service, ref.number)}
	}
	return compiledBackend{
		name:        answer.name(gateway, ref.mirror != nil),
		decision:    answer.decision.Decision,
		reason:      answer.decision.FaultReason,
		fault:       answer.decision.Fault,
		routeReason: answer.decision.RouteReason,
	}
}
