package probe

import "time"

// tenant is a namespace: its Services, and what was given to it.
type tenant struct {
	term *term
	name string
	// lanes are its Services, ready those of which an endpoint may be asked, the
	// first one that is due at the head.
	lanes map[string]*lane
	ready queue[*lane]
	// running is how many of its endpoints are asked just now.
	running int
	// turn counts: whoever has the smallest had its turn the longest ago.
	turn uint64
}

// next is the lane that is asked now, nil for none, which is so for the time it
// returns, unless something changes.
//
// Namespaces take turns, and one that is asking already takes another slot only
// while more are free than there are namespaces that are not; at most half of all
// slots are kept for those. So with N namespaces nobody waits for more than N-1
// others to begin, and with N <= slots/2 never for a slot: where f slots are free
// and b namespaces ask, f+b >= min(N, slots/2) before and after each beginning.
// What is free without that, such as where all endpoints are of one namespace,
// anybody may have.
func (t *term) next(now time.Time) (*lane, time.Duration) {
	slots := t.prober.config.Concurrency
	free, idle := slots-t.running, 0
	for _, owner := range t.tenants {
		if owner.running == 0 {
			idle++
		}
	}
	spare := free > min(idle, slots/2)
	var chosen *tenant
	wait := sweep
	for _, owner := range t.tenants {
		if len(owner.ready) == 0 {
			continue
		}
		until := owner.ready[0].when().Sub(now)
		switch {
		case until > 0:
			wait = min(wait, until)
		case free <= 0 || owner.running > 0 && !spare: // Whatever ends wakes.
		case chosen == nil || owner.turn < chosen.turn:
			chosen = owner
		}
	}
	if chosen == nil {
		return nil, wait
	}
	return chosen.ready[0], 0
}
