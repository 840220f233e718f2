package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
)

// attached refuses a change that nobody would obey: options of ours bite only
// on Gateways of ours.
func (s *subject) attached(allowUnattached bool) error {
	if hidden := s.hidden(); unrouted(s.port) && hidden != "" && !allowUnattached {
		return fmt.Errorf("which Gateways lead to %s is not known (%s), and other controllers' ignore backendtls.dev "+
			"options. Portable: %s. --allow-unattached writes the options all the same", serviceName(s.port), hidden, s.portable)
	}
	if unrouted(s.port) && !allowUnattached {
		return fmt.Errorf("%s is reached through no Gateway, so nothing would obey backendtls.dev options. "+
			"Portable: %s. --allow-unattached writes the options all the same", serviceName(s.port), s.portable)
	}
	for _, port := range s.ports {
		for _, path := range port.Paths {
			if controller := s.world.ControllerOf(path); controller != "" && controller != gwapi.ControllerName {
				return fmt.Errorf("%s is reached through %s (%s), which ignores backendtls.dev options. Portable: %s",
					serviceName(port), gateway(path), controller, s.portable)
			}
		}
	}
	return s.known(allowUnattached)
}

// known refuses a Gateway of which nobody knows whose it is.
func (s *subject) known(allowUnattached bool) error {
	for _, port := range s.ports {
		for _, path := range port.Paths {
			switch {
			case path.Ours:
			case claimed(s.world, path):
				s.doubt(port, path)
			case !allowUnattached:
				return fmt.Errorf("%s is reached through %s, whose GatewayClass%s is not %s: "+
					"it counts as another controller's, which ignores backendtls.dev options. "+
					"Portable: %s. --allow-unattached writes the options all the same",
					serviceName(port), gateway(path), s.class(path), s.there(), s.portable)
			}
		}
	}
	return nil
}

// claimed says whether a Gateway is known as ours although its GatewayClass could
// not be read: by what our operator wrote in the status of the route.
func claimed(world *collect.World, path model.Path) bool {
	return path.Controller == "" && world.ControllerOf(path) == gwapi.ControllerName
}

// doubt notes that the operator serves a Gateway, and that nothing more is known
// of it.
func (s *subject) doubt(port collect.Port, path model.Path) {
	doubt := fmt.Sprintf("What %s will do for %s cannot be foretold: its GatewayClass is not %s. "+
		"Its status will tell once this is written.", gateway(path), service(port), s.there())
	if !slices.Contains(s.unknown, doubt) {
		s.unknown = append(s.unknown, doubt)
	}
}

// hidden says what may lead to the Service and could not be read, "" if
// everything was.
func (s *subject) hidden() string {
	for _, kind := range leading {
		for _, namespace := range [...]string{"", s.port.Service.Namespace} {
			if reason, unread := s.world.Hidden(kind, namespace); unread {
				return reason
			}
		}
	}
	return ""
}

// there is where a GatewayClass was looked for.
func (s *subject) there() string {
	if !s.world.Live() {
		return "in the files"
	}
	if reason, unread := s.world.Hidden(gwapi.KindGatewayClass, ""); unread {
		return "known (" + reason + ")"
	}
	return "in the cluster"
}

// class is the name of the GatewayClass that a Gateway asks for, behind a blank; ""
// where the Gateway could not be read.
func (s *subject) class(path model.Path) string {
	found, known := s.world.Snapshot.Gateways.Get(path.Gateway.NamespacedName())
	if !known {
		return ""
	}
	return " " + string(found.Spec.GatewayClassName)
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
func (d *Drafter) portable(s *subject) string {
	words := []string{d.Program, "pin", s.target(), "--form", "ca"}
	if s.port.Service.Namespace != "default" || s.world.Live() {
		words = append(words, "-n", s.port.Service.Namespace)
	}
	if source := d.source(); source != "" {
		words = append(words, source)
	}
	return strings.Join(words, " ")
}

// target is the TARGET that means the subject: without a number where the
// Service has no other port.
func (s *subject) target() string {
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
