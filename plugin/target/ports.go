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
	return targeted(world, policy), &IdlePolicyError{Policy: r, Rivals: rivals(world, policy)}
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
		ports = append(ports, world.PortsOf(gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name)))...)
	}
	return ports
}

func rivals(world *collect.World, policy *gatewayv1.BackendTLSPolicy) []string {
	var list []string
	for _, ref := range policy.Spec.TargetRefs {
		service := gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name))
		ports := world.PortsOf(service)
		decided := len(list)
		for _, port := range ports {
			if port.Policy != nil {
				list = append(list, fmt.Sprintf("svc/%s:%d is decided by btlspolicy/%s",
					ref.Name, port.Spec.Port, port.Policy.Name))
			}
		}
		switch {
		case len(ports) == 0:
			list = append(list, fmt.Sprintf("svc/%s does not exist", ref.Name))
		case len(list) == decided:
			list = append(list, fmt.Sprintf("svc/%s has no port of that name", ref.Name))
		}
	}
	return list
}
