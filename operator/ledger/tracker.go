package ledger

import (
	"bytes"
	"log/slog"
	"sync"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// recordID is whose record it is.
type recordID struct {
	gateway gwapi.Key
	name    string
}

// told is a record in the words of the wire. Its version changes with them.
type told struct {
	words   []byte
	version uint64
	// tooLarge says that the words leave out what the record has.
	tooLarge bool
}

// tracker has the records of this replica for all streams, each of which may
// have seen another state of them.
type tracker struct {
	local Local
	log   *slog.Logger

	mu sync.Mutex
	// outdated is closed when there may be something newer than records.
	outdated chan struct{}
	stale    bool
	version  uint64
	// records is replaced, never changed.
	records map[recordID]told
}

func newTracker(local Local, log *slog.Logger) *tracker {
	return &tracker{local: local, log: log, outdated: make(chan struct{}), stale: true}
}

// outdate wakes the streams.
func (t *tracker) outdate() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = true
	close(t.outdated)
	t.outdated = make(chan struct{})
}

// state is all records as they are now, and what is closed when that has
// changed.
func (t *tracker) state() (map[recordID]told, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stale {
		t.stale = false
		t.refresh()
	}
	return t.records, t.outdated
}

// refresh encodes the records. Those that say the same keep their version.
func (t *tracker) refresh() {
	records := make(map[recordID]told)
	for gateway, envoys := range t.local.Envoys() {
		for _, e := range envoys {
			id := recordID{gateway: gateway, name: e.Name}
			words, tooLarge, err := encode(gateway, e)
			if err != nil {
				// Nothing is told of it, so nothing of it counts as acknowledged.
				t.log.Error("the record of an Envoy cannot be told to other replicas",
					"gateway", gateway.String(), "envoy", e.Name, "error", err)
				continue
			}
			before, known := t.records[id]
			if known && bytes.Equal(before.words, words) {
				records[id] = before
				continue
			}
			if tooLarge && !before.tooLarge {
				t.log.Error("the record of an Envoy is too large to be told to other replicas, which will wait for it",
					"gateway", gateway.String(), "envoy", e.Name, "bytes", maxRecord,
					"clusters", len(e.Held), "policies", len(e.Settled))
			}
			t.version++
			records[id] = told{words: words, version: t.version, tooLarge: tooLarge}
		}
	}
	t.records = records
}
