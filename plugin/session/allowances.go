package session

import (
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/resolve"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Allowances are what every Gateway that reaches the port, or another one that
// the same policy decides about, allows; sorted by Gateway.
func (s *Session) Allowances(port cliv1alpha1.PortReference) []Allowance {
	world := s.known()
	if world == nil {
		return nil
	}
	found, exists := world.Port(keyOf(port))
	if !exists {
		return nil
	}
	ours := map[gwapi.Key]bool{}
	controllers := map[gwapi.Key]string{}
	var gateways []gwapi.Key
	for _, port := range subjectOf(world, []collect.Port{found}).ports {
		for _, path := range port.Paths {
			if !slices.Contains(gateways, path.Gateway) {
				gateways = append(gateways, path.Gateway)
			}
			ours[path.Gateway] = ours[path.Gateway] || path.Ours
			controllers[path.Gateway] = world.ControllerOf(path)
		}
	}
	slices.SortFunc(gateways, gwapi.CompareKeys)
	var list []Allowance
	for _, gateway := range gateways {
		allowance := Allowance{Gateway: cliv1alpha1.ObjectReference{
			Kind: string(gateway.Kind), Namespace: untrusted.Text(gateway.Namespace), Name: untrusted.Text(gateway.Name),
		}, Ours: ours[gateway]}
		if allowance.Ours {
			allowance.ask(resolve.AllowanceOf(world.Snapshot, gateway, found.Service.Namespace))
		} else {
			allowance.Rule = "its GatewayClass is not known: whether it is backendtls's, and what it allows, is not either"
			if controller := controllers[gateway]; controller != "" {
				allowance.Rule = untrusted.Text(controller) + " ignores backendtls.dev options: no mode can be asked for there"
			}
		}
		list = append(list, allowance)
	}
	return list
}

func (a *Allowance) ask(rules resolve.Allowance) {
	for _, mode := range rules.Modes {
		a.Modes = append(a.Modes, string(mode))
	}
	if rules.Limited {
		a.Longest = rules.Longest
	}
	a.ReasonNeeded, a.Rule = rules.NeedsReason, untrusted.Text(rules.Rule)
}
