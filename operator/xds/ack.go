package xds

import (
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// refusal is why a resource of the Gateway is not served as it was asked for.
// It stands until the content changes.
type refusal struct {
	digest string
	// policy is what a refused cluster enforces; zero for plaintext.
	policy gwapi.Key
	// unsent says that it never left, because it is not valid.
	unsent bool
	words  string
}

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
	for _, it := range r.sent {
		s.cache.acknowledged(it)
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

// refuse notes that Envoy refused this resource, unless it was replaced since,
// and takes it back: a cluster is withdrawn, so that its routes answer 500 and
// the one it was to replace can go; a listener or a route configuration gives
// way to the last one that was acknowledged, so that an Envoy that starts now
// has something to serve. Secrets and assignments stay: Envoy keeps what it
// has, and one that has nothing must not get what is not wanted any more.
func (st *stream) refuse(k kind, it *item, words string, culprits int) {
	g := st.gateway
	c := g.caches[k]
	if c.items[it.name] != it {
		return
	}
	id := resourceID{kind: k, name: it.name}
	if k == assignments {
		if culprits > 1 {
			id.name = ""
		}
		st.record.rejections[id] = words
		return
	}
	st.record.rejections[id] = words
	g.refused[id] = refusal{digest: it.digest, policy: it.held.Policy, words: words}
	switch {
	case k == clusters:
		c.remove(it.name)
	case k.fallback():
		c.restore(it.name)
	}
	for _, r := range g.envoys {
		g.unsettle(r)
	}
}

// culprits are the resources of a response that Envoy's words name; all of
// them if they name none.
func culprits(r *response, words string) map[string]bool {
	found := make(map[string]bool)
	for name := range r.sent {
		if mentions(words, name) {
			found[name] = true
		}
	}
	if len(found) == 0 {
		for name := range r.sent {
			found[name] = true
		}
	}
	return found
}

// mentions says whether the words contain the name as a whole, not as a part
// of a longer one.
func mentions(words, name string) bool {
	if name == "" {
		return false
	}
	for rest, from := words, 0; ; {
		at := strings.Index(rest, name)
		if at < 0 {
			return false
		}
		from += at
		end := from + len(name)
		if (from == 0 || !inName(words[from-1])) && (end == len(words) || !inName(words[end])) {
			return true
		}
		from++
		rest = words[from:]
	}
}

func inName(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '/'
}
