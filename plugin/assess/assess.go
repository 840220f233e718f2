package assess

import (
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// The results of verdicts.
const (
	Passes    = "Passes"
	Fails     = "Fails"
	Mixed     = "Mixed"
	Refused   = "Refused"
	Plaintext = "Plaintext"
	// Passthrough is a path on which the client verifies the backend itself.
	Passthrough = "Passthrough"
	NoEndpoints = "NoEndpoints"
	Unreachable = "Unreachable"
	NotProbed   = "NotProbed"
	// Unseen is a path that depends on what could not be read.
	Unseen  = "Unseen"
	Foreign = "Foreign"
	// Gone is a path that was there before, where changes are shown.
	Gone = "Gone"
	// Unjudged is an endpoint that answered while no policy decides about it.
	Unjudged = "Unjudged"
)

// Assessor judges one world.
type Assessor struct {
	World *collect.World
	// Observations are what endpoints showed; nil where nobody asked.
	Observations tunnel.Observations
	// ServerName is the name under which a port's endpoints were asked.
	ServerName func(collect.Port) string
	// Program is how people call this program.
	Program string
	// Source is what to type to read the same world, such as "-f DIR"; "" where
	// nothing needs to be.
	Source string
	// Local says that endpoints were asked on the loopback of their pods, so that
	// one which refuses may serve Envoy all the same.
	Local bool
}

// observation is what the endpoint showed, if it was asked.
func (a *Assessor) observation(port collect.Port, endpoint model.Endpoint) (model.Observation, bool) {
	observation, found := a.Observations[tunnel.Question{Address: endpoint.Address, SNI: a.ServerName(port)}]
	return observation, found
}

// Paths describes the paths that end at the ports and are selected. A port
// without any path is described alone, if it is.
func (a *Assessor) Paths(ports []collect.Port, selected func(collect.Port, *model.Path) bool) []cliv1alpha1.Path {
	list := []cliv1alpha1.Path{}
	for _, port := range ports {
		if len(port.Paths) == 0 && selected(port, nil) {
			list = append(list, a.unreached(port))
		}
		for _, path := range port.Paths {
			if selected(port, &path) {
				list = append(list, a.path(port, a.known(port, path)))
			}
		}
	}
	return list
}

func (a *Assessor) path(port collect.Port, path model.Path) cliv1alpha1.Path {
	described := cliv1alpha1.Path{
		Service:    PortReference(port),
		Gateway:    objectReference(path.Gateway),
		Listener:   untrusted.Text(path.Listener),
		Controller: untrusted.Text(path.Controller),
		Ours:       path.Ours,
		Route:      objectReference(path.Route),
		Rule:       path.Rule,
		Hostnames:  untrusted.Texts(path.Hostnames),
		Mirror:     path.Mirror,
	}
	who := a.other(path)
	switch {
	case path.Passthrough && path.FaultReason == "":
		a.passthrough(&described, path)
	case who != "":
		a.elsewhere(port, path, who).describe(&described)
	default:
		a.ours(&described, port, path)
	}
	if path.Mirror || path.Route.Kind == gwapi.KindTLSRoute {
		described.Verdict.Status = 0
	}
	return described
}

// passthrough describes a path on which TLS does not end at the Gateway: by the
// standard no policy applies, whoever serves it.
func (a *Assessor) passthrough(described *cliv1alpha1.Path, path model.Path) {
	if path.Ours {
		described.ListenerFault = a.listenerFault(path)
	}
	described.Verdict = cliv1alpha1.Verdict{
		Result:  Passthrough,
		Message: "the client's own TLS reaches the endpoints: the client verifies them, and no policy applies",
	}
}

// ours fills in what there is to say about a path of a Gateway that is ours, or of
// which it is not known whose it is.
func (a *Assessor) ours(described *cliv1alpha1.Path, port collect.Port, path model.Path) {
	if path.Ours {
		described.ListenerFault = a.listenerFault(path)
	}
	decision := path.Policy
	if decision == nil && !path.Ours {
		decision = port.Strict.Policy
	}
	claimed := !path.Ours && a.World.ControllerOf(path) == gwapi.ControllerName
	if decision != nil {
		object, found := a.World.Snapshot.TLSPolicies.Get(decision.Policy.NamespacedName())
		described.Policy = a.policy(decision, object, decision.Trust)
		if found && (path.Ours || claimed) {
			described.Conditions = a.conditions(object, path.Gateway)
			described.Policy.Notes = append(described.Policy.Notes, a.differing(described.Conditions)...)
			if note := a.stale(object, path.Gateway); note != "" {
				described.Policy.Notes = append(described.Policy.Notes, note)
			}
		}
	}
	if _, hidden := a.World.Hidden(gwapi.KindGatewayClass, ""); !path.Ours && hidden && path.Controller == "" {
		a.asked(described.Policy, port.Policy, described.Conditions)
	}
	described.Verdict, described.Endpoints = a.verdict(port, path, described.Conditions)
	if path.FaultReason == unseenReason && described.Policy != nil {
		described.Policy.Unseen = untrusted.Text(path.Fault)
		a.inForce(&described.Policy.Mode, described.Conditions)
	}
}

// unreached describes a port that no route leads to, as a Gateway of ours
// without any allowed mode would treat it.
func (a *Assessor) unreached(port collect.Port) cliv1alpha1.Path {
	described := cliv1alpha1.Path{Service: PortReference(port), Unseen: untrusted.Text(a.hiddenRoutes(port))}
	if port.Strict.Policy != nil {
		described.Policy = a.policy(port.Strict.Policy, port.Policy, port.Strict.Policy.Trust)
		if described.Unseen == "" {
			described.Policy.Notes = append(described.Policy.Notes,
				"no route leads here: the policy has no status, and decides about nothing yet")
		}
	}
	path := port.Strict
	path.Ours = true
	described.Verdict, described.Endpoints = a.verdict(port, path, nil)
	described.Verdict.Status = 0
	return described
}

// PortReference is the port in the form of the output kinds.
func PortReference(port collect.Port) cliv1alpha1.PortReference {
	reference := cliv1alpha1.PortReference{
		Namespace: untrusted.Text(port.Service.Namespace),
		Name:      untrusted.Text(port.Service.Name),
		Port:      port.Spec.Port,
		PortName:  untrusted.Text(port.Spec.Name),
	}
	if port.Spec.AppProtocol != nil {
		reference.AppProtocol = untrusted.Text(*port.Spec.AppProtocol)
	}
	return reference
}

func objectReference(key gwapi.Key) *cliv1alpha1.ObjectReference {
	if key.IsZero() {
		return nil
	}
	return &cliv1alpha1.ObjectReference{
		Kind:      string(key.Kind),
		Namespace: untrusted.Text(key.Namespace),
		Name:      untrusted.Text(key.Name),
	}
}
