package target

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
)

// ErrNotFound is wrapped by errors about an object that does not exist.
var ErrNotFound = errors.New("not found")

// notFound is an ErrNotFound with a text of its own.
type notFound string

func (e notFound) Error() string        { return string(e) }
func (e notFound) Is(target error) bool { return target == ErrNotFound }

// Ports finds the ports that a TARGET means: one for a Service (an error lists
// them if several are possible), every port that it decides about for a
// policy.
func (r Reference) Ports(world *collect.World, namespace string) ([]collect.Port, error) {
	if r.Kind == gwapi.KindBackendTLSPolicy {
		ports, err := r.ofPolicy(world, namespace)
		if err != nil {
			return nil, err
		}
		return ports, nil
	}
	port, err := r.ofService(world, namespace)
	if err != nil {
		return nil, err
	}
	return []collect.Port{port}, nil
}

func (r Reference) ofService(world *collect.World, namespace string) (collect.Port, error) {
	ports, err := r.ServicePorts(world, namespace)
	if err != nil {
		return collect.Port{}, err
	}
	if len(ports) == 1 {
		return ports[0], nil
	}
	if used := slices.DeleteFunc(slices.Clone(ports), unused); len(used) == 1 {
		return used[0], nil
	}
	return collect.Port{}, fmt.Errorf("%s has several ports, name one: %s", r, r.spelled(ports))
}

func unused(port collect.Port) bool { return !port.Used() }

// ServicePorts lists every TCP port that the reference to a Service may mean:
// the one that it names, else all.
func (r Reference) ServicePorts(world *collect.World, namespace string) ([]collect.Port, error) {
	key := gwapi.KeyOf(gwapi.KindService, namespace, r.Name)
	if _, found := world.Snapshot.Services.Get(key.NamespacedName()); !found {
		return nil, r.absent(world, namespace)
	}
	ports := world.PortsOf(key)
	if len(ports) == 0 {
		return nil, fmt.Errorf("svc/%s in namespace %s has no TCP port", r.Name, namespace)
	}
	if r.Port == "" {
		return ports, nil
	}
	for _, port := range ports {
		if strconv.Itoa(int(port.Spec.Port)) == r.Port || port.Spec.Name == r.Port {
			return []collect.Port{port}, nil
		}
	}
	return nil, fmt.Errorf("svc/%s has no port %s, but: %s", r.Name, r.Port, r.spelled(ports))
}

// spelled lists the ports in the form to type.
func (r Reference) spelled(ports []collect.Port) string {
	list := make([]string, len(ports))
	for i, port := range ports {
		list[i] = fmt.Sprintf("svc/%s:%d", r.Name, port.Spec.Port)
		if port.Spec.Name != "" {
			list[i] += " (" + port.Spec.Name + ")"
		}
	}
	return strings.Join(list, ", ")
}

// ofPolicy lists the ports that the policy decides about; with an
// IdlePolicyError, those that it targets in vain.
func (r Reference) ofPolicy(world *collect.World, namespace string) ([]collect.Port, error) {
	name := types.NamespacedName{Namespace: namespace, Name: r.Name}
	policy, found := world.Snapshot.TLSPolicies.Get(name)
	if !found {
		return nil, r.absent(world, namespace)
	}
	decides := slices.DeleteFunc(world.Ports(), func(port collect.Port) bool { return port.Policy != policy })
	if len(decides) > 0 {
		return decides, nil
	}
	idle := &IdlePolicyError{Policy: r, Rivals: rivals(world, policy)}
	if ports := targeted(world, policy); len(ports) > 0 {
		return ports, idle
	}
	return nil, notFound(idle.Error())
}

// IdlePolicyError is about a policy that exists and decides about no port.
type IdlePolicyError struct {
	Policy Reference
	// Rivals say what became of each target.
	Rivals []string
}

// Error names the policy and what became of its targets.
func (e *IdlePolicyError) Error() string {
	return fmt.Sprintf("%s decides about no port: %s", e.Policy, strings.Join(e.Rivals, ", "))
}

// targeted lists the ports of the Services that the policy targets.
func targeted(world *collect.World, policy *gatewayv1.BackendTLSPolicy) []collect.Port {
	var ports []collect.Port
	for _, ref := range policy.Spec.TargetRefs {
		if !isService(ref) {
			continue
		}
		ports = append(ports, world.PortsOf(gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name)))...)
	}
	return ports
}

// isService says whether a policy targets a Service.
func isService(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
	return ref.Group == "" && ref.Kind == gatewayv1.Kind(gwapi.KindService)
}

func rivals(world *collect.World, policy *gatewayv1.BackendTLSPolicy) []string {
	var list []string
	for _, ref := range policy.Spec.TargetRefs {
		if fault := Misses(world, policy, ref); fault != "" {
			list = append(list, fault)
			continue
		}
		decided := len(list)
		for _, port := range world.PortsOf(gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name))) {
			if port.Policy != nil {
				list = append(list, fmt.Sprintf("svc/%s:%d is decided by btlspolicy/%s",
					ref.Name, port.Spec.Port, port.Policy.Name))
			}
		}
		if len(list) == decided {
			list = append(list, fmt.Sprintf("svc/%s has no TCP port", ref.Name))
		}
	}
	return list
}

// Misses says why a targetRef of a policy means no port that there is, and what
// would; "" if it means one, or if that could not be read.
func Misses(
	world *collect.World, policy *gatewayv1.BackendTLSPolicy, ref gatewayv1.LocalPolicyTargetReferenceWithSectionName,
) string {
	if !isService(ref) {
		what := string(ref.Kind) + "/" + string(ref.Name)
		if ref.Group != "" {
			what += " of group " + string(ref.Group)
		}
		return fmt.Sprintf("its targetRefs name %s, which is no Service: want group \"\" and kind Service", what)
	}
	service := Reference{Kind: gwapi.KindService, Name: string(ref.Name)}
	name := types.NamespacedName{Namespace: policy.Namespace, Name: service.Name}
	if _, exists := world.Snapshot.Services.Get(name); !exists {
		if _, hidden := world.Hidden(gwapi.KindService, policy.Namespace); hidden {
			return ""
		}
		return service.absent(world, policy.Namespace).Error()
	}
	if ref.SectionName == nil || *ref.SectionName == "" {
		return ""
	}
	ports := world.PortsOf(gwapi.KeyOf(gwapi.KindService, name.Namespace, name.Name))
	for _, port := range ports {
		if port.Spec.Name == string(*ref.SectionName) {
			return ""
		}
	}
	return fmt.Sprintf("its targetRefs name the port %s of svc/%s, which has none of that name, but: %s",
		*ref.SectionName, ref.Name, service.spelled(ports))
}
