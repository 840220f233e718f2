package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
)

// subject is what a change is about.
type subject struct {
	world *collect.World
	// port is the one that is named, of a policy the first that it decides.
	port collect.Port
	// policy decides about the port; nil where none does.
	policy *gatewayv1.BackendTLSPolicy
	// ports are all that a change of the policy is about: the one that is named,
	// and every other one that it decides and a route leads to. What is pinned
	// for one of them holds for all of them.
	ports []collect.Port
	// unknown says what cannot be foretold, for lack of rights.
	unknown []string
	// portable is the command whose outcome every implementation obeys.
	portable string
}

// subject finds what a target means.
func (d *Drafter) subject(reference target.Reference) (*subject, error) {
	named, err := reference.Ports(d.World, d.Namespace)
	if err != nil {
		return nil, err
	}
	s := subjectOf(d.World, named)
	s.portable = d.portable(s)
	return s, s.usable()
}

// subjectOf is what a change is about that was asked for these ports, which one
// policy decides about, or none.
func subjectOf(world *collect.World, named []collect.Port) *subject {
	routed := slices.DeleteFunc(slices.Clone(named), unrouted)
	if len(routed) == 0 {
		routed = named
	}
	s := &subject{world: world, port: routed[0], policy: routed[0].Policy, ports: routed}
	if s.policy != nil {
		s.ports = slices.DeleteFunc(world.Ports(), func(port collect.Port) bool {
			return port.Policy != s.policy || unrouted(port) && !isAmong(port, routed)
		})
	}
	return s
}

// unrouted says whether no route leads to the port, but those that pass the
// client's own TLS on, where no policy applies.
func unrouted(port collect.Port) bool {
	return !slices.ContainsFunc(port.Paths, func(path model.Path) bool { return !path.Passthrough })
}

func isAmong(port collect.Port, list []collect.Port) bool {
	return slices.ContainsFunc(list, func(other collect.Port) bool { return other.Key() == port.Key() })
}

// usable refuses objects that the files contradict themselves about.
func (s *subject) usable() error {
	if s.policy == nil {
		return nil
	}
	if fault, broken := s.world.Snapshot.Faults[policyKey(s.policy)]; broken {
		return fmt.Errorf("btlspolicy/%s cannot be changed before it is repaired: %s", s.policy.Name, fault)
	}
	return nil
}

func policyKey(policy *gatewayv1.BackendTLSPolicy) gwapi.Key {
	return gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
}

// Naming says what a created policy is like.
type Naming struct {
	// PolicyName is its name, "" for the Service's. Hostname is its
	// spec.validation.hostname, "" for what is decided without a wish.
	PolicyName, Hostname string
}

// check refuses a wish that has no meaning, because a policy exists.
func (n Naming) check(s *subject) error {
	flag := "--policy-name"
	if n.PolicyName == "" {
		flag = "--hostname"
	}
	if s.policy == nil || n.PolicyName == "" && n.Hostname == "" {
		return nil
	}
	return fmt.Errorf("%s is for a policy that is created, but %s has btlspolicy/%s: leave it out",
		flag, service(s.port), s.policy.Name)
}

// readable refuses where the files leave open what holds for the Service: what
// cannot be read may be its policy, and may be a Gateway that leads to it.
func (s *subject) readable() error {
	if unread := s.world.Unread(); len(unread) > 0 {
		return fmt.Errorf("%s must be repaired first: nobody knows whether it holds something about svc/%s (%s)",
			unread[0].Place(), s.port.Service.Name, unread[0].Message)
	}
	if reason, hidden := s.world.Hidden(gwapi.KindBackendTLSPolicy, s.port.Service.Namespace); hidden {
		return fmt.Errorf("nobody knows which policies target svc/%s: %s", s.port.Service.Name, reason)
	}
	if s.policy != nil {
		return nil
	}
	faults := s.world.Snapshot.Faults
	for _, key := range slices.SortedFunc(maps.Keys(faults), gwapi.CompareKeys) {
		if key.Kind != gwapi.KindBackendTLSPolicy || key.Namespace != s.port.Service.Namespace {
			continue
		}
		broken, known := s.world.Snapshot.TLSPolicies.Get(key.NamespacedName())
		if !known || len(broken.Spec.TargetRefs) == 0 {
			return fmt.Errorf("btlspolicy/%s must be repaired first: nobody knows whether it targets svc/%s (%s)",
				key.Name, s.port.Service.Name, faults[key])
		}
	}
	return nil
}

// leading are the kinds that make a path from a Gateway to a Service.
var leading = []gwapi.Kind{
	gwapi.KindGateway, gwapi.KindGatewayClass, gwapi.KindListenerSet, gwapi.KindReferenceGrant,
	gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute, gwapi.KindTCPRoute,
}

// charted refuses where an object that may lead to the Service is invalid: the
// Gateways that reach it are not all known.
func (s *subject) charted() error {
	return s.without(func(problem manifest.Problem) bool { return slices.Contains(leading, problem.Object.Kind) },
		"leads to")
}

// counted refuses where an EndpointSlice is invalid: the endpoints are not all
// known.
func (s *subject) counted() error {
	return s.without(func(problem manifest.Problem) bool {
		return problem.Object.Kind == gwapi.KindEndpointSlice && slices.ContainsFunc(s.ports, func(port collect.Port) bool {
			return port.Service.Namespace == problem.Object.Namespace
		})
	}, "has endpoints of")
}

func (s *subject) without(concerns func(manifest.Problem) bool, relation string) error {
	i := slices.IndexFunc(s.world.Problems, concerns)
	if i < 0 {
		return nil
	}
	problem := s.world.Problems[i]
	return fmt.Errorf("%s must be repaired first: nobody knows whether %s %s svc/%s (%s)",
		problem.Place(), problem.Object, relation, s.port.Service.Name, problem.Message)
}

// SeveralTargetsError refuses to change a policy that has more than one target: a
// pin of one Service would govern the others.
type SeveralTargetsError struct {
	// Policy is its name.
	Policy string
	// Targets is how many it has.
	Targets int
	// Split is what would be in its place, as YAML: a policy for each target.
	Split string
}

// Error says what to do instead.
func (e *SeveralTargetsError) Error() string {
	return fmt.Sprintf("btlspolicy/%s has %d targets, and the change would hold for all of them: "+
		"split it as shown above, or add --all-targets", e.Policy, e.Targets)
}

// Above is what Error speaks of as shown above.
func (e *SeveralTargetsError) Above() string {
	return fmt.Sprintf("These would be one policy for each target of btlspolicy/%s, in its place:\n%s", e.Policy, e.Split)
}

// single refuses a policy that has more than one target, and shows how to
// split it.
func (s *subject) single(allTargets bool) error {
	if s.policy == nil || len(s.policy.Spec.TargetRefs) <= 1 || allTargets {
		return nil
	}
	var split strings.Builder
	names := map[string]bool{}
	for _, ref := range s.policy.Spec.TargetRefs {
		one := s.policy.DeepCopy()
		one.Name = s.policy.Name + "-" + string(ref.Name)
		if ref.SectionName != nil {
			one.Name += "-" + string(*ref.SectionName)
		}
		one.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{ref}
		content, err := document(one)
		if err != nil {
			return err
		}
		if !names[one.Name] {
			split.WriteString("---\n" + string(content))
		}
		names[one.Name] = true
	}
	return &SeveralTargetsError{Policy: s.policy.Name, Targets: len(s.policy.Spec.TargetRefs), Split: split.String()}
}

// plan is a change of the policy that decides, or of a new one.
func (d *Drafter) plan(s *subject, create edit.Create) (*Plan, error) {
	p := &Plan{
		drafter: d, world: s.world, service: s.port, ports: s.ports, policy: s.policy, unknown: s.unknown,
	}
	if s.policy != nil {
		return p, nil
	}
	object, found := s.world.Snapshot.Services.Get(s.port.Service.NamespacedName())
	if !found {
		return nil, errors.New(service(s.port) + " is gone")
	}
	create.Service, create.Port = object, s.port.Spec
	if len(object.Spec.Ports) > 1 && create.Port.Name == "" {
		return nil, fmt.Errorf("svc/%s has several ports, and port %d has no name for a policy to target: give it one",
			s.port.Service.Name, s.port.Spec.Port)
	}
	policy, err := create.Policy()
	if err != nil {
		return nil, err
	}
	where := ""
	if places := s.world.Set.Places(policyKey(policy)); len(places) > 0 {
		where = " in " + places[0].Place()
	} else if _, exists := s.world.Snapshot.TLSPolicies.Get(policyKey(policy).NamespacedName()); !exists {
		p.policy, p.created = policy, true
		return p, nil
	}
	return nil, fmt.Errorf("btlspolicy/%s exists%s and does not decide about %s: choose another --policy-name",
		policy.Name, where, service(s.port))
}
