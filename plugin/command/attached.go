package command

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
)

// attached refuses a change that nobody would obey: options of ours bite only
// on Gateways of ours. Portable is a command that works on every Gateway.
func (s *subject) attached(allowUnattached bool, portable string) error {
	if unrouted(s.port) && !allowUnattached {
		return fmt.Errorf("%s is reached through no Gateway, so nothing would obey backendtls.dev options. "+
			"Portable: %s. --allow-unattached writes the options all the same", serviceName(s.port), portable)
	}
	for _, port := range s.ports {
		for _, path := range port.Paths {
			if !path.Ours && path.Controller != "" {
				return fmt.Errorf("%s is reached through %s (%s), which ignores backendtls.dev options. Portable: %s",
					serviceName(port), gateway(path), path.Controller, portable)
			}
		}
	}
	for _, port := range s.ports {
		i := slices.IndexFunc(port.Paths, func(path model.Path) bool { return !path.Ours })
		if i >= 0 && !allowUnattached {
			return fmt.Errorf("%s is reached through %s, whose GatewayClass is not in the files: "+
				"it counts as another controller's, which ignores backendtls.dev options. "+
				"Portable: %s. --allow-unattached writes the options all the same",
				serviceName(port), gateway(port.Paths[i]), portable)
		}
	}
	return nil
}

// serviceName is svc/NAME.
func serviceName(port collect.Port) string { return "svc/" + port.Service.Name }

// gateway is gateway/NAME, with the namespace where that is not the Service's.
func gateway(path model.Path) string {
	if path.Gateway.Namespace == path.Service.Namespace {
		return "gateway/" + path.Gateway.Name
	}
	return path.Gateway.String()
}

// portable is the command whose outcome every implementation obeys.
func (o *Options) portable(s *subject) string {
	words := []string{o.Program, "pin", o.targetOf(s), "--form", "ca"}
	if s.port.Service.Namespace != "default" {
		words = append(words, "-n", s.port.Service.Namespace)
	}
	return strings.Join(append(words, "-f", quoted(s.world.Source)), " ")
}

// targetOf is the TARGET that means the subject: without a number where the
// Service has no other port.
func (o *Options) targetOf(s *subject) string {
	if len(s.world.PortsOf(s.port.Service)) > 1 {
		return service(s.port)
	}
	return serviceName(s.port)
}

// exposed are the ports of the Service of the subject that are spoken to in
// plaintext where no policy decides about them, because they have no
// appProtocol.
func (s *subject) exposed() []string {
	var numbers []string
	for _, port := range s.ports {
		if set := port.Spec.AppProtocol; port.Service == s.port.Service && (set == nil || *set == "") {
			numbers = append(numbers, strconv.Itoa(int(port.Spec.Port)))
		}
	}
	return numbers
}

// appProtocolPatch is the one-line patch that keeps ports from ever being spoken
// to in plaintext.
func (s *subject) appProtocolPatch(ports []string) string {
	entries := make([]string, len(ports))
	for i, port := range ports {
		entries[i] = `{"port":` + port + `,"appProtocol":"https"}`
	}
	return fmt.Sprintf(`kubectl patch -n %s %s -p '{"spec":{"ports":[%s]}}'`,
		s.port.Service.Namespace, serviceName(s.port), strings.Join(entries, ","))
}
