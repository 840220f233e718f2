package probe

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// subject is a port of a Service under a policy as written.
type subject struct {
	key      model.ProbeKey
	portName string
	// trust is the policy as written.
	trust *model.Trust
	// interval is the smallest that a Gateway asks for.
	interval time.Duration
	// members are its endpoints.
	members map[*target]*member
	// unasked counts the endpoints that no Pod stands behind.
	unasked int
	// waiting is since when not every endpoint is known; zero while all are.
	waiting time.Time
	// told is when what is published last changed.
	told time.Time
}

// member is what an endpoint showed, judged for one subject.
type member struct {
	// result is "" until it is known; unasked says that it is a reason for not
	// asking.
	result  string
	unasked bool
	leaf    string
	// notAfter is the leaf's, the zero time without one.
	notAfter time.Time
	at       time.Time
}

// wantedOf are the subjects of the Gateways.
func wantedOf(gateways map[gwapi.Key]model.Gateway) map[model.ProbeKey]*subject {
	wanted := map[model.ProbeKey]*subject{}
	for _, gateway := range gateways {
		if gateway.ProbeInterval <= 0 {
			continue
		}
		for i := range gateway.Backends {
			backend := &gateway.Backends[i]
			key, checked := backend.ProbeKey()
			if !checked || backend.Written == nil {
				continue
			}
			s := wanted[key]
			if s == nil {
				s = &subject{
					key: key, portName: backend.PortName, trust: backend.Written,
					interval: gateway.ProbeInterval,
				}
				wanted[key] = s
			}
			s.interval = min(s.interval, gateway.ProbeInterval)
		}
	}
	return wanted
}

func (s *subject) service() types.NamespacedName { return s.key.Service.NamespacedName() }

// adopt takes over what may change without being another subject.
func (s *subject) adopt(now *subject) {
	s.portName, s.trust = now.portName, now.trust
	if now.interval == s.interval {
		return
	}
	s.interval = now.interval
	for t := range s.members {
		t.owner.hasten(t)
	}
}

// addSubject begins to check something. The caller holds mu.
func (p *Prober) addSubject(s *subject) {
	s.members = map[*target]*member{}
	p.subjects[s.key] = s
	if p.services[s.service()] == nil {
		p.services[s.service()] = map[*subject]struct{}{}
	}
	p.services[s.service()][s] = struct{}{}
	p.stale[s.service()] = struct{}{}
	if p.term != nil {
		// What was written about it was about something else.
		s.waiting = time.Now()
		p.publish(s, p.view(s), s.waiting)
	}
}

// dropSubject forgets everything about it. The caller holds mu.
func (p *Prober) dropSubject(s *subject) {
	delete(p.subjects, s.key)
	delete(p.services[s.service()], s)
	if len(p.services[s.service()]) == 0 {
		delete(p.services, s.service())
		delete(p.stale, s.service())
	}
	delete(p.published, s.key)
	if p.term != nil {
		for t := range s.members {
			p.term.leave(t, s)
		}
	}
}

// endpointsOf are the ready endpoints of a subject. The caller holds mu.
func (p *Prober) endpointsOf(s *subject) []model.Endpoint {
	return resolve.Endpoints(s.portName, p.slices[s.service()], snapshot.Site{})
}
