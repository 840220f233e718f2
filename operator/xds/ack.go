package xds

import (
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// answer takes the ACK or NACK in a request, if it is one.
func (st *stream) answer(k kind, request *discoveryv3.DeltaDiscoveryRequest) error {
	s := st.subscriptions[k]
	r := s.answered(request.GetResponseNonce())
	if r == nil {
		return nil
	}
	if request.GetErrorDetail() != nil {
		if err := st.nack(k, r, request.GetErrorDetail().GetMessage()); err != nil {
			return err
		}
	} else {
		st.ack(k, r)
	}
	st.nudge()
	if k != assignments {
		st.gateway.settle()
		st.gateway.progress()
	}
	return nil
}

// ack notes that Envoy took a response.
func (st *stream) ack(k kind, r *response) {
	s := st.subscriptions[k]
	for name, it := range r.sent {
		s.cache.acknowledged(it)
		st.accepted(resourceID{kind: k, name: name}, it)
	}
	switch k {
	case clusters:
		st.record.acknowledge(s, r)
		st.gateway.changed()
	case assignments:
		// Assignments are in no publication that would end their refusals.
		if len(st.record.rejections) == 0 {
			return
		}
		delete(st.record.rejections, resourceID{kind: assignments})
		for name := range r.sent {
			delete(st.record.rejections, resourceID{kind: assignments, name: name})
		}
		st.gateway.changed()
	default:
	}
}

// nack notes that Envoy refused a response: which of it, as far as its words
// tell, and that the rest must be sent again, for Envoy may have used it or
// not, and without the timers of its times to live.
func (st *stream) nack(k kind, r *response, words string) error {
	s, g := st.subscriptions[k], st.gateway
	words = clip(words)
	g.log.Warn("envoy refused a response", "envoy", st.peer.Name, "type", k.String(), "message", words)
	if len(r.sent) == 0 {
		return errBadRefuse
	}
	if k == clusters {
		st.record.distrust(r)
	}
	s.covered = min(s.covered, r.after)
	culprits := culprits(r, words)
	for name, it := range r.sent {
		if !culprits[name] {
			s.resend(name)
			continue
		}
		st.refuse(k, it, words, len(culprits))
	}
	for _, name := range r.removed {
		if _, again := s.known[name]; !again {
			s.known[name] = ""
		}
		s.mark(name)
	}
	g.changed()
	return nil
}
