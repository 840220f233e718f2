package xds

import (
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// retryAfter is how long a listener that an Envoy refused rests before it is
// sent to it once more: another process may have had its port.
const retryAfter = 30 * time.Second

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

// accepted notes that an Envoy took what it, or another one, refused before:
// a listener whose port has become free. The refusal stands while any Envoy's
// does.
func (st *stream) accepted(id resourceID, it *item) {
	g := st.gateway
	if r, refused := g.refused[id]; refused && !r.unsent && r.digest == it.digest {
		delete(st.record.rejections, id)
		g.forgive(id)
	}
}

// forgive ends a refusal that no Envoy stands by, if what was refused is what
// is served. A cluster never is: it was withdrawn.
func (g *gateway) forgive(id resourceID) {
	it := g.caches[id.kind].items[id.name]
	if it == nil || it.digest != g.refused[id].digest {
		return
	}
	for _, r := range g.envoys {
		if _, stands := r.rejections[id]; stands {
			return
		}
	}
	delete(g.refused, id)
	for _, r := range g.envoys {
		r.goal = 0
	}
	g.settle()
	g.changed()
}

// retry sends the listeners that the Envoy refused, and that nothing replaced,
// once more.
func (st *stream) retry() {
	st.gateway.mu.Lock()
	defer st.gateway.mu.Unlock()
	s := st.subscriptions[listeners]
	if s == nil {
		return
	}
	for id := range st.record.rejections {
		it := s.cache.items[id.name]
		if id.kind == listeners && it != nil && it.digest == st.gateway.refused[id].digest {
			s.resend(id.name)
		}
	}
}
