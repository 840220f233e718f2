package xds

import (
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	everything = "*"
	// maxNames bounds the names one stream may ask for of one type.
	maxNames = 100_000
	// window is how many responses of a type may wait for their ACK. It is not
	// one: Envoy withholds the ACK of every cluster while one is not warm, and
	// the removal of a cluster must not wait for that.
	window = 256
	// roomy is how many names make a map worth replacing when it is empty.
	roomy = 64
)

// subscription is what one stream wants of one type, and what it was sent.
// Every step costs as much as what changed, never as much as what is
// subscribed to: names are looked at when they are marked, and an ACK that
// finds nothing marked does nothing.
type subscription struct {
	cache *cache
	wake  func()

	wildcard bool
	names    map[string]struct{}
	// owed says that the first request for everything was not answered yet; it
	// is answered also where there is nothing.
	owed bool
	// known is the version of each resource that the client was sent or said it
	// has. "" is a version that is nobody's, so that the resource is sent again.
	known map[string]string
	// marked are the names that may differ from known.
	marked map[string]struct{}
	// unanswered are the responses without an ACK or NACK, oldest first.
	unanswered []*response
	// covered is the position of the cache up to which everything was sent; 0
	// while something that was there before was not.
	covered uint64
}

// response is what was sent under a nonce.
type response struct {
	nonce   string
	sent    map[string]*item
	removed []string
	// replaced are the resources sent whose content the client had otherwise.
	replaced []string
	// after is the position covered before this response.
	after uint64
	// at is when it was made.
	at time.Time
}

func newSubscription(c *cache, wake func()) *subscription {
	return &subscription{
		cache:  c,
		wake:   wake,
		names:  make(map[string]struct{}),
		known:  make(map[string]string),
		marked: make(map[string]struct{}),
	}
}

// begin takes the first request of a type: initial is what the client has
// from streams before. A request without names asks for everything, where the
// type allows that.
func (s *subscription) begin(subscribe, unsubscribe []string, initial map[string]string) error {
	asked := make(map[string]struct{}, len(subscribe))
	for _, name := range subscribe {
		asked[name] = struct{}{}
	}
	_, all := asked[everything]
	all = s.cache.kind.wildcard() && (all || len(subscribe) == 0)
	for name, version := range initial {
		if _, ok := asked[name]; (ok || all) && len(s.known) < maxNames {
			s.known[name] = version
		}
	}
	if all {
		s.subscribeAll()
	}
	for name := range asked {
		if !s.cache.kind.wildcard() || name != everything {
			s.subscribe(name)
		}
	}
	s.unsubscribe(unsubscribe)
	return s.check()
}

// update takes the names of every further request. A name that is subscribed
// to again is sent again: the client may have dropped it meanwhile
// (DeltaDiscoveryRequest.resource_names_subscribe).
func (s *subscription) update(subscribe, unsubscribe []string) error {
	for _, name := range subscribe {
		if name == everything && s.cache.kind.wildcard() {
			s.subscribeAll()
			continue
		}
		if _, known := s.known[name]; known {
			s.known[name] = ""
		}
		s.subscribe(name)
	}
	s.unsubscribe(unsubscribe)
	return s.check()
}

func (s *subscription) check() error {
	if len(s.names) > maxNames {
		return status.Errorf(codes.ResourceExhausted, "more than %d %s names on one stream", maxNames, s.cache.kind)
	}
	return nil
}

func (s *subscription) subscribeAll() {
	if s.wildcard {
		return
	}
	s.wildcard, s.owed, s.covered = true, true, 0
	s.cache.all[s] = struct{}{}
	s.wake()
	for name := range s.cache.items {
		s.mark(name)
	}
	for name := range s.known {
		s.mark(name)
	}
}

func (s *subscription) subscribe(name string) {
	s.names[name] = struct{}{}
	s.covered = 0
	s.cache.watch(name, s)
	s.mark(name)
}

func (s *subscription) unsubscribe(names []string) {
	for _, name := range names {
		_, asked := s.names[name]
		switch {
		case name == everything && s.cache.kind.wildcard():
			s.unsubscribeAll()
		case asked && s.wildcard:
			// It is still wanted with everything else, and the protocol asks to say
			// what becomes of it.
			s.drop(name)
			s.known[name] = ""
			s.mark(name)
		case asked:
			s.drop(name)
			delete(s.known, name)
			delete(s.marked, name)
		}
	}
}

func (s *subscription) unsubscribeAll() {
	s.wildcard, s.owed = false, false
	delete(s.cache.all, s)
	for name := range s.known {
		if _, asked := s.names[name]; !asked {
			delete(s.known, name)
			delete(s.marked, name)
		}
	}
}

func (s *subscription) drop(name string) {
	delete(s.names, name)
	s.cache.unwatch(name, s)
}

// end lets go of the cache.
func (s *subscription) end() {
	delete(s.cache.all, s)
	for name := range s.names {
		s.cache.unwatch(name, s)
	}
}

// mark makes the name be looked at before the next response.
func (s *subscription) mark(name string) {
	s.marked[name] = struct{}{}
	s.wake()
}

// resend makes the resource be sent again as it is, if the client wants it.
func (s *subscription) resend(name string) {
	_, asked := s.names[name]
	if _, known := s.known[name]; known && (asked || s.wildcard) {
		s.known[name], s.covered = "", 0
		s.mark(name)
	}
}

// next makes the response that is due, nil if none is.
func (s *subscription) next(now time.Time) *response {
	if len(s.unanswered) >= window || len(s.marked) == 0 && !s.owed {
		return nil
	}
	r := &response{sent: make(map[string]*item), after: s.covered, at: time.Now()}
	limit := s.cache.kind.perResponse()
	for name := range s.marked {
		delete(s.marked, name)
		s.add(r, name, now)
		if limit > 0 && len(r.sent)+len(r.removed) >= limit {
			break
		}
	}
	if len(s.marked) == 0 {
		s.covered = s.cache.changes
		if len(r.sent) > roomy {
			// An emptied map is walked as far as it once was full.
			s.marked = make(map[string]struct{})
		}
	}
	if len(r.sent)+len(r.removed) == 0 && !s.owed {
		return nil
	}
	s.owed = false
	slices.Sort(r.removed)
	s.unanswered = append(s.unanswered, r)
	return r
}

// add puts what became of the name into the response, if the client does not
// know it.
func (s *subscription) add(r *response, name string, now time.Time) {
	it := s.cache.get(name, now)
	version, known := s.known[name]
	switch {
	case it == nil && known:
		delete(s.known, name)
		r.removed = append(r.removed, name)
	case it != nil && (!known || version != it.version):
		s.known[name] = it.version
		r.sent[name] = it
		if known && digestOf(version) != it.digest {
			r.replaced = append(r.replaced, name)
		}
	}
}

// answered takes the response with the nonce out of the unanswered, nil if
// there is none: a nonce of an earlier stream, or one that was answered.
func (s *subscription) answered(nonce string) *response {
	for i, r := range s.unanswered {
		if r.nonce == nonce {
			s.unanswered = slices.Delete(s.unanswered, i, i+1)
			return r
		}
	}
	return nil
}

// position is how far the client has acknowledged what the cache became.
func (s *subscription) position() uint64 {
	if s.idle() {
		return s.cache.changes
	}
	at := s.covered
	for _, r := range s.unanswered {
		at = min(at, r.after)
	}
	return at
}

// idle says whether the client has acknowledged everything there is.
func (s *subscription) idle() bool {
	return len(s.unanswered) == 0 && len(s.marked) == 0 && !s.owed
}

// order is the names of a response as they are sent.
func (r *response) order() []string { return slices.Sorted(maps.Keys(r.sent)) }
