package resolve

import (
	"fmt"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// compiledRoute is an HTTPRoute on one Gateway of ours that takes it.
type compiledRoute struct {
	route *httpRouteNode
	// bindings are the listeners, each once.
	bindings []binding
	rules    []compiledRule
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
}

// decidedReach is a reach with the answer of the policies.
type decidedReach struct {
	decision tlsDecision
	// name is the Backend's, "" where requests get a 500.
	name string
}

// reaches lists the ports that routes on our Gateways lead to, each once, in
// the order of the routes.
func reaches(routes []*httpRouteNode) (list []reach) {
	seen := make(map[reachKey]bool, len(routes))
	list = make([]reach, 0, len(routes))
	for _, route := range routes {
		for _, a := range route.attachments {
			if len(a.bindings) == 0 || !isOurs(a.gateway.class) || a.gateway.refused != nil {
				continue
			}
			for i := range route.rules {
				rule := &route.rules[i]
				for j := range rule.backends {
					ref := &rule.backends[j]
					key := reachKey{a.gateway.key, ref.service, ref.number}
					if ref.fault != "" || route.refuses(rule) || seen[key] {
						continue
					}
					seen[key] = true
					list = append(list, reach{Gateway: a.gateway.key, Service: ref.service, Port: ref.port})
				}
			}
		}
	}
	return list
}

// compiler puts routes on Gateways.
type compiler struct {
	b       *builder
	decided map[reachKey]decidedReach
}

// compile decides every reach and puts each route on each of our Gateways that
// takes it.
func (b *builder) compile(routes []*httpRouteNode, list []reach, policies *tlsPolicies) {
	c := compiler{b: b, decided: make(map[reachKey]decidedReach, len(list))}
	for _, r := range list {
		c.decide(r, policies)
	}
	for _, route := range routes {
		for _, gateway := range route.ours() {
			compiled := &compiledRoute{route: route, bindings: bindingsOn(&route.routeView, gateway)}
			if len(compiled.bindings) == 0 {
				continue
			}
			compiled.rules = make([]compiledRule, len(route.rules))
			for i := range route.rules {
				compiled.rules[i] = c.rule(gateway, route, i)
			}
			gateway.routes = append(gateway.routes, compiled)
		}
	}
}

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

// decide asks the policies about a reach and makes its Backend.
func (c *compiler) decide(r reach, policies *tlsPolicies) {
	answer := decidedReach{decision: policies.decide(r)}
	if answer.decision.FaultReason == "" && answer.decision.Fault == "" {
		backend := model.Backend{
			Service:  r.Service,
			Port:     r.Port.Port,
			PortName: r.Port.Name,
			Protocol: backendProtocol(r.Port),
			Trust:    answer.decision.Trust,
			Written:  answer.decision.Written,
		}
		answer.name = backend.Name()
		c.b.byKey[r.Gateway].backends[answer.name] = backend
	}
	c.decided[reachKey{r.Gateway, r.Service, r.Port.Port}] = answer
}

// rule compiles the rule at an index. A refused rule has neither redirect nor
// split, which means 500.
func (c *compiler) rule(gateway *gatewayNode, route *httpRouteNode, index int) compiledRule {
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
		backend := c.backend(gateway, ref)
		compiled.backends = append(compiled.backends, backend)
		if ref.weight > 0 {
			compiled.rule.Split = append(compiled.rule.Split, model.WeightedBackend{Backend: backend.name, Weight: ref.weight})
		}
	}
	return compiled
}

func (c *compiler) backend(gateway *gatewayNode, ref *backendRef) compiledBackend {
	if ref.fault != "" {
		return compiledBackend{reason: string(ref.reason), fault: ref.fault, routeReason: ref.reason}
	}
	answer, known := c.decided[reachKey{gateway.key, ref.service, ref.number}]
	if !known {
		// Every backend that is not at fault was listed as a reach; were one not,
		// nothing is known about the trust that it needs.
		return compiledBackend{reason: "Undecided", fault: fmt.Sprintf("%s port %d was not decided", ref.service, ref.number)}
	}
	return compiledBackend{
		name:        answer.name,
		decision:    answer.decision.Decision,
		reason:      answer.decision.FaultReason,
		fault:       answer.decision.Fault,
		routeReason: answer.decision.RouteReason,
	}
}
