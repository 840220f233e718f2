package session

import (
	"errors"
	"fmt"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// policies is the resource that every change writes.
const policies = "backendtlspolicies.gateway.networking.k8s.io"

// Forbidden says why an action is not to be offered for a port, "" if it is. What
// it does not forbid may be refused all the same.
func (s *Session) Forbidden(action Action, port cliv1alpha1.PortReference) string {
	if s.config.ReadOnly {
		return errReadOnly.Error()
	}
	world := s.known()
	if world == nil {
		return "nothing has been read yet"
	}
	found, exists := world.Port(keyOf(port))
	if !exists {
		return fmt.Sprintf("svc/%s:%d is not there any more", untrusted.Text(port.Name), port.Port)
	}
	if reason := s.mayNot(found); reason != "" {
		return reason
	}
	if err := s.futile(action, world, found, port); err != nil {
		return untrusted.Text(err.Error())
	}
	return ""
}

// mayNot names the right that is known to lack.
func (s *Session) mayNot(port collect.Port) string {
	verb := "patch"
	if port.Policy == nil {
		verb = "create"
	}
	namespace := port.Service.Namespace
	if !s.lacks(right{verb: verb, resource: policies, namespace: namespace}) {
		return ""
	}
	return fmt.Sprintf("you may not %s %s in namespace %s", verb, policies, untrusted.Text(namespace))
}

// futile is why the action has nothing to be done to, or would bite nowhere.
func (s *Session) futile(
	action Action, world *collect.World, port collect.Port, about cliv1alpha1.PortReference,
) error {
	d := s.drafterOf(world, about.Namespace)
	if action == ActionSkipOff {
		policy, err := d.moded(referenceTo(about))
		if err == nil && (policy == nil || !hasMode(policy)) {
			err = fmt.Errorf("%s %w", service(port), ErrNoMode)
		}
		return err
	}
	subject := subjectOf(world, []collect.Port{port})
	subject.portable = d.portable(subject)
	if err := errors.Join(subject.usable(), subject.readable()); err != nil {
		return err
	}
	switch action {
	case ActionUnpin:
		return unpinnable(subject)
	case ActionSkipOn:
		return errors.Join(subject.charted(), subject.attached(false))
	case ActionPin, ActionSkipOff:
		// A pin of the form ca holds everywhere.
	}
	return nil
}

// unpinnable refuses where neither one pin nor all of them can go.
func unpinnable(s *subject) error {
	if s.policy == nil {
		return fmt.Errorf("%s has no policy, and so no pins", service(s.port))
	}
	_, err := edit.Unpin(s.policy, nil)
	if current := s.current(); err != nil && len(current.Pins) > 1 {
		return nil
	}
	return err
}
