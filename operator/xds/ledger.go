package xds

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// lapseMargin is how long after its lapse a cluster still counts as held: the
// time to live was computed before it was sent.
const lapseMargin = time.Second

// maxWords bounds what is kept of Envoy's error text.
const maxWords = 1024

// record is what is known of one Envoy, connected or not.
type record struct {
	name string
	// stream is the live one, nil if there is none.
	stream  *stream
	settled map[gwapi.Key]string
	// goal is the number of the publication that settled was last measured by.
	goal uint64
	held map[string]model.HeldCluster
	// rejections are Envoy's words by what it refused; a resource without a name
	// stands for "one of several".
	rejections map[resourceID]string
}

func newRecord(name string) *record {
	return &record{
		name:       name,
		settled:    make(map[gwapi.Key]string),
		held:       make(map[string]model.HeldCluster),
		rejections: make(map[resourceID]string),
	}
}

// resume takes what a new stream says about the clusters the Envoy has. Each of
// them is held. What the ledger says it may have besides (a response that was
// on its way, a refused one that took effect in part) is removed explicitly,
// because only the ACK of a removal proves that it is gone.
func (r *record) resume(s *subscription, initial map[string]string) {
	if len(initial) == 0 {
		// A process that has nothing: it started anew.
		clear(r.settled)
		r.goal = 0
	}
	for name, version := range s.known {
		if _, ok := r.held[name]; ok {
			continue
		}
		// What is not served any more may be anything, with any lapse.
		held := model.HeldCluster{Name: name, Unknown: true}
		if it := s.cache.items[name]; it != nil {
			held = it.held
			if it.version != version {
				held.Lapses = time.Time{}
			}
		}
		r.held[name] = held
	}
	for name := range r.held {
		_, served := s.cache.items[name]
		_, known := s.known[name]
		if !served && !known {
			s.known[name] = ""
			s.mark(name)
		}
	}
}

// hold counts the clusters of a response as held from now on. Until its ACK
// the latest lapse of those sent counts.
func (r *record) hold(sent *response) {
	for name, it := range sent.sent {
		held := it.held
		if old, ok := r.held[name]; ok {
			held.Lapses = later(old.Lapses, held.Lapses)
		}
		r.held[name] = held
	}
}

// later is the later of two lapses; zero is never.
func later(a, b time.Time) time.Time {
	switch {
	case a.IsZero() || b.IsZero():
		return time.Time{}
	case a.After(b):
		return a
	default:
		return b
	}
}

// acknowledge drops what a response removed and settles the lapse of what it
// sent, unless something newer was sent since.
func (r *record) acknowledge(s *subscription, acked *response) {
	for name, it := range acked.sent {
		if s.known[name] == it.version {
			r.held[name] = it.held
		}
	}
	for _, name := range acked.removed {
		if _, again := s.known[name]; !again {
			delete(r.held, name)
		}
	}
}

// distrust forgets the lapses of a response that was refused: nobody knows
// whether Envoy started their timers.
func (r *record) distrust(refused *response) {
	for name := range refused.sent {
		if held, ok := r.held[name]; ok {
			held.Lapses = time.Time{}
			r.held[name] = held
		}
	}
}

// report is the record as the model has it.
func (r *record) report(now time.Time, faults []model.Rejection) model.Envoy {
	e := model.Envoy{
		Name:       r.name,
		Connected:  r.stream != nil && r.stream.subscriptions[clusters] != nil,
		Settled:    maps.Clone(r.settled),
		Held:       make([]model.HeldCluster, 0, len(r.held)),
		Rejections: slices.Clone(faults),
	}
	for _, held := range r.held {
		if held.Lapses.IsZero() || !now.After(held.Lapses.Add(lapseMargin)) {
			e.Held = append(e.Held, held)
		}
	}
	slices.SortFunc(e.Held, func(a, b model.HeldCluster) int { return cmp.Compare(a.Name, b.Name) })
	for id, words := range r.rejections {
		e.Rejections = append(e.Rejections, rejection(id, words))
	}
	slices.SortFunc(e.Rejections, func(a, b model.Rejection) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
	return e
}

func rejection(id resourceID, words string) model.Rejection {
	return model.Rejection{Type: id.kind.String(), Name: id.name, Message: words}
}

// clip makes words fit to be kept: valid UTF-8 and not too long.
func clip(words string) string {
	words = strings.ToValidUTF8(words, "?")
	if len(words) <= maxWords {
		return words
	}
	return strings.ToValidUTF8(words[:maxWords], "") + "..."
}

// report is the ledger of the Gateway, by name.
func (g *gateway) report() []model.Envoy {
	g.mu.Lock()
	defer g.mu.Unlock()
	var faults []model.Rejection
	for id, r := range g.refused {
		if r.unsent {
			faults = append(faults, rejection(id, r.words))
		}
	}
	now := g.now()
	envoys := make([]model.Envoy, 0, len(g.envoys))
	for _, name := range slices.Sorted(maps.Keys(g.envoys)) {
		envoys = append(envoys, g.envoys[name].report(now, faults))
	}
	return envoys
}
