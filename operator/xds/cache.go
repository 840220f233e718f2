package xds

import "time"

// cache is the resources of one type of one Gateway, and who wants which.
type cache struct {
	kind  kind
	items map[string]*item
	// good is the last acknowledged item under a name whose newest is not
	// acknowledged yet; only for kinds with a fallback.
	good map[string]*item
	// changes counts the changes of items: the position that a subscription's
	// progress is measured by.
	changes uint64
	// all are the wildcard subscriptions, named the others by the name they
	// asked for, so that a change touches its subscribers and nobody else.
	all   map[*subscription]struct{}
	named map[string]map[*subscription]struct{}
}

func newCache(k kind) *cache {
	return &cache{
		kind:  k,
		items: make(map[string]*item),
		good:  make(map[string]*item),
		all:   make(map[*subscription]struct{}),
		named: make(map[string]map[*subscription]struct{}),
	}
}

// set serves the item, unless that very version is served already.
func (c *cache) set(it *item) {
	old := c.items[it.name]
	if old != nil && old.version == it.version {
		old.since = it.since
		return
	}
	if old != nil && old.acked && c.kind.fallback() {
		c.good[it.name] = old
	}
	c.items[it.name] = it
	c.touch(it.name)
}

// remove serves nothing under the name any more.
func (c *cache) remove(name string) {
	delete(c.good, name)
	if _, ok := c.items[name]; ok {
		delete(c.items, name)
		c.touch(name)
	}
}

// restore goes back to the last acknowledged item, if there is one.
func (c *cache) restore(name string) {
	if good := c.good[name]; good != nil {
		delete(c.good, name)
		c.items[name] = good
		c.touch(name)
	}
}

// acknowledged remembers that an Envoy took the item.
func (c *cache) acknowledged(it *item) {
	if it.acked || !c.kind.fallback() {
		return
	}
	it.acked = true
	switch served := c.items[it.name]; {
	case served == it:
		delete(c.good, it.name)
	case served != nil && !served.acked:
		c.good[it.name] = it
	}
}

// get is the item that may be sent now: a lapsed cluster may not.
func (c *cache) get(name string, now time.Time) *item {
	it := c.items[name]
	if it == nil || it.lapsed(now) {
		return nil
	}
	return it
}

// touch makes everybody who wants the name look at it again.
func (c *cache) touch(name string) {
	c.changes++
	for s := range c.all {
		s.mark(name)
	}
	for s := range c.named[name] {
		s.mark(name)
	}
}

func (c *cache) watch(name string, s *subscription) {
	watchers := c.named[name]
	if watchers == nil {
		watchers = make(map[*subscription]struct{}, 1)
		c.named[name] = watchers
	}
	watchers[s] = struct{}{}
}

func (c *cache) unwatch(name string, s *subscription) {
	watchers := c.named[name]
	delete(watchers, s)
	if len(watchers) == 0 {
		delete(c.named, name)
	}
}
