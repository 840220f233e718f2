package probe

import (
	"cmp"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
)

// consider publishes what is known of a subject, unless it is better to wait:
// for endpoints that have not been asked yet, or because something was said just
// now. The caller holds mu.
func (p *Prober) consider(s *subject, now time.Time) {
	if p.term == nil {
		return
	}
	seen := p.view(s)
	switch {
	case seen.Complete:
		s.waiting = time.Time{}
	case s.waiting.IsZero():
		s.waiting = now
	}
	if !seen.Complete && len(failures(&seen)) == 0 && now.Sub(s.waiting) <= keptFor*s.interval {
		return // The last word stands: what was published or, after an election, what is written.
	}
	p.publish(s, seen, now)
}

// publish says what was found of a subject, if it is news.
func (p *Prober) publish(s *subject, seen model.Probed, now time.Time) {
	last, known := p.published[s.key]
	switch {
	case !known:
	case same(&last, &seen, true):
		last.NotAfter = seen.NotAfter
		p.published[s.key] = last
		return
	case now.Sub(s.told) < calm && last.Checked() > 0 && (last.Complete || !seen.Complete):
		return // A sweep will say it, if it is still so.
	case same(&last, &seen, false) && now.Sub(s.told) < s.interval:
		return // Whoever shows another certificate each time gets no more words by it.
	}
	seen.Found, s.told = now, now
	p.published[s.key] = seen
	if p.notify.IsZero() {
		p.notify = now.Add(batch)
		signal(p.term.wake)
	}
}

// failures are the results that do not pass, sorted.
func failures(seen *model.Probed) (results []string) {
	for _, count := range seen.Counts {
		if count.Result != string(verify.Verified) && count.Result != model.ProbeExpiring {
			results = append(results, count.Result)
		}
	}
	return results
}

// same says whether two views say the same, of incomplete ones only what fails:
// how far the checks have come is nobody's concern.
func same(a, b *model.Probed, leaves bool) bool {
	if a.Complete != b.Complete || a.Interval != b.Interval {
		return false
	}
	if !a.Complete {
		return slices.Equal(failures(a), failures(b))
	}
	equal := func(x, y model.ProbeCount) bool {
		return x.Result == y.Result && x.Count == y.Count && (!leaves || slices.Equal(x.Leaves, y.Leaves))
	}
	return a.Endpoints == b.Endpoints && slices.EqualFunc(a.Counts, b.Counts, equal) &&
		slices.EqualFunc(a.Unasked, b.Unasked, equal)
}

// view counts what is known of the endpoints of a subject.
func (p *Prober) view(s *subject) model.Probed {
	checked, unasked := map[string]*tally{}, map[string]*tally{}
	seen := model.Probed{
		Endpoints: len(s.members) + s.unasked, Interval: s.interval,
		Complete: !p.isStale(s),
	}
	if s.unasked > 0 {
		unasked[model.ProbeNotAPod] = &tally{count: s.unasked}
	}
	for _, m := range s.members {
		switch {
		case m.result == "":
			seen.Complete = false
		case m.unasked:
			count(unasked, m)
		default:
			count(checked, m)
			if !m.notAfter.IsZero() && (seen.NotAfter.IsZero() || m.notAfter.Before(seen.NotAfter)) {
				seen.NotAfter = m.notAfter
			}
		}
	}
	seen.Counts, seen.Unasked = list(checked), list(unasked)
	return seen
}

// isStale says that the endpoints have not been looked at yet.
func (p *Prober) isStale(s *subject) bool {
	_, stale := p.stale[s.service()]
	return stale
}

// tally is a ProbeCount that is being counted.
type tally struct {
	count  int
	leaves []string
}

func count(results map[string]*tally, m *member) {
	of := results[m.result]
	if of == nil {
		of = &tally{}
		results[m.result] = of
	}
	of.count++
	if m.leaf == "" || m.result == string(verify.Verified) || slices.Contains(of.leaves, m.leaf) {
		return
	}
	of.leaves = append(of.leaves, m.leaf)
	slices.Sort(of.leaves)
	of.leaves = of.leaves[:min(len(of.leaves), model.MaxProbeLeaves)]
}

func list(results map[string]*tally) []model.ProbeCount {
	counts := make([]model.ProbeCount, 0, len(results))
	for result, of := range results {
		counts = append(counts, model.ProbeCount{Result: result, Count: of.count, Leaves: of.leaves})
	}
	slices.SortFunc(counts, func(a, b model.ProbeCount) int { return cmp.Compare(a.Result, b.Result) })
	return counts
}
