package session

import (
	"context"
	"fmt"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Fetch asks the endpoints of a port for what they serve, and those of every other
// port that its policy decides about and a route leads to: what is pinned for one
// of them holds for all of them. Those of a port without a policy are asked for the
// name that `pin` would give it. Where ctx ends before all of them have answered,
// it returns what the others said, as Partial, and the error of ctx.
func (s *Session) Fetch(ctx context.Context, about cliv1alpha1.PortReference, progress Progress) (Fetched, error) {
	asked, err := s.ask(ctx, about, progress)
	if err == nil && asked.port.Policy == nil {
		err = s.askAgain(ctx, asked, progress)
	}
	fetched := asked.fetched(s)
	if err == nil {
		s.remember(fetched)
	}
	return fetched, err
}

// Verify asks them, and judges by the policy as it is enforced, in Paths, and as
// written, in Verification. It ends as Fetch does.
func (s *Session) Verify(ctx context.Context, about cliv1alpha1.PortReference, progress Progress) (Probed, error) {
	asked, err := s.ask(ctx, about, progress)
	probed := Probed{Service: about, At: s.now(), Fetched: asked.fetched(s)}
	if asked.world == nil {
		return probed, err
	}
	assessor := s.assessor(asked.world, asked.observed)
	ports := []collect.Port{asked.port}
	probed.Paths = assessor.Paths(ports, func(collect.Port, *model.Path) bool { return true })
	if written := assessor.Verifications(ports, true); len(written) > 0 {
		probed.Verification = written[0]
	}
	return probed, err
}

// asked is what came of asking the endpoints of a port.
type asked struct {
	about cliv1alpha1.PortReference
	world *collect.World
	port  collect.Port
	// ports are all that were asked.
	ports []collect.Port
	// serverName is what was sent.
	serverName func(collect.Port) string
	observed   tunnel.Observations
	partial    bool
}

func (a *asked) fetched(s *Session) Fetched {
	fetched := Fetched{Service: a.about, At: s.now(), Partial: a.partial}
	if a.world != nil {
		assessor := s.assessor(a.world, a.observed)
		assessor.ServerName = a.serverName
		fetched.Endpoints = assessor.Certificates(a.ports, s.config.Via)
	}
	return fetched
}

// ask asks the endpoints of a port, by the newest World.
func (s *Session) ask(ctx context.Context, about cliv1alpha1.PortReference, progress Progress) (*asked, error) {
	a := &asked{about: about, serverName: ServerName}
	world := s.known()
	// Files are read as they are now: it costs little, and what was written a moment
	// ago counts. In a cluster a change was acknowledged before anybody asks.
	if world == nil || !s.live() {
		var err error
		if world, err = s.read(ctx, reading{Namespace: about.Namespace}); err != nil {
			return a, err
		}
		s.know(world)
	}
	port, found := world.Port(keyOf(about))
	if !found {
		return a, fmt.Errorf("svc/%s:%d is not in namespace %s any more",
			untrusted.Text(about.Name), about.Port, untrusted.Text(about.Namespace))
	}
	a.world, a.port, a.ports = world, port, subjectOf(world, []collect.Port{port}).ports
	var err error
	a.observed, err = s.observe(ctx, a.ports, ServerName, progress)
	a.partial = err != nil
	return a, err
}

// askAgain asks for the hostname that a created policy would have, where that is
// another name: it is what Envoy would send, and what they serve for it counts.
func (s *Session) askAgain(ctx context.Context, a *asked, progress Progress) error {
	live, err := liveOf(a.fetched(s))
	if err != nil {
		return nil //nolint:nilerr // Nothing is served, so that nothing would be created.
	}
	subject := subjectOf(a.world, []collect.Port{a.port})
	plan, err := s.drafterOf(a.world, a.about.Namespace).plan(subject, edit.Create{Live: live, WellKnown: edit.PinnedOnly})
	if err != nil {
		return nil //nolint:nilerr // The draft of it says so.
	}
	hostname := string(plan.policy.Spec.Validation.Hostname)
	if hostname == ServerName(a.port) {
		return nil
	}
	a.serverName = func(collect.Port) string { return hostname }
	a.observed, err = s.observe(ctx, a.ports, a.serverName, progress)
	a.partial = err != nil
	return err
}

func keyOf(about cliv1alpha1.PortReference) collect.PortKey {
	return collect.PortKey{Service: gwapi.KeyOf(gwapi.KindService, about.Namespace, about.Name), Port: about.Port}
}
