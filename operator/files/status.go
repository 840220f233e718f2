package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/report"
)

// statusSink brings the desired statuses into files, beside the reading of
// manifests, which never waits for it.
type statusSink struct {
	source  *Source
	journal *journal
	pending chan struct{}
	// stamps are the files as they were written; run alone uses them.
	stamps map[gwapi.Key]stamp

	mu      sync.Mutex
	desired report.Set
}

func newStatusSink(source *Source) *statusSink {
	return &statusSink{
		source: source, journal: &journal{log: source.config.Log},
		pending: make(chan struct{}, 1), stamps: map[gwapi.Key]stamp{},
	}
}

func (k *statusSink) put(desired report.Set) {
	k.mu.Lock()
	k.desired = desired
	k.mu.Unlock()
	k.wake()
}

func (k *statusSink) wake() {
	select {
	case k.pending <- struct{}{}:
	default: // It will look at the newest anyway.
	}
}

// run writes until ctx ends, tries again what could not be written, and looks
// now and then whether the files are still there.
func (k *statusSink) run(ctx context.Context) {
	pace := k.source.pace
	wait := pace.retry
	retry := time.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	rescan := time.NewTicker(pace.rescan)
	defer rescan.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.pending:
		case <-retry.C:
		case <-rescan.C:
			k.verify()
		}
		if err := k.write(ctx); err == nil {
			wait = pace.retry
			retry.Stop()
			continue
		}
		retry.Reset(wait)
		wait = min(2*wait, pace.retryMost)
	}
}

// write brings every file to what is desired now. Policies come first: a mode
// waits for its status.
func (k *statusSink) write(ctx context.Context) error {
	k.mu.Lock()
	desired := k.desired
	k.mu.Unlock()
	set, live := k.source.current()
	if set == nil {
		return nil
	}
	keys := maps.Clone(live)
	for key := range desired {
		keys[key] = report.Report{}
	}
	var errs failures
	pass := pass{stamps: k.stamps}
	if err := prepareStatusDir(k.source.state); err != nil {
		k.journal.stateWrite("statuses", err)
		return err
	}
	order := slices.SortedFunc(maps.Keys(keys), policiesFirst)
	for i, key := range order {
		if ctx.Err() != nil {
			break
		}
		errs.add(k.settle(&pass, set, key, live, desired))
		last := i+1 == len(order)
		if last || key.Kind == gwapi.KindBackendTLSPolicy && order[i+1].Kind != key.Kind || pass.size() == showAfter {
			k.source.showStatuses(&pass)
		}
	}
	err := errs.err()
	k.journal.stateWrite("statuses", err)
	return err
}

func policiesFirst(a, b gwapi.Key) int {
	rank := func(key gwapi.Key) int {
		if key.Kind == gwapi.KindBackendTLSPolicy {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), gwapi.CompareKeys(a, b))
}

// showAfter is how many new statuses wait to be shown together: a Snapshot
// costs milliseconds, and a mode waits for its own status alone.
const showAfter = 200

// settle brings one file to what is desired.
func (k *statusSink) settle(
	pass *pass, set *manifest.Set, key gwapi.Key, live manifest.Statuses, desired report.Set,
) error {
	was, written := live[key]
	if _, exists := set.Get(key); !exists {
		if written {
			return pass.remove(k.source.state, key)
		}
		return nil
	}
	if desired == nil {
		return nil // Nobody has said yet what it should be.
	}
	ours, reported := desired[key]
	if !reported {
		ours = report.Report{Generation: was.Generation}
	}
	return k.merge(pass, key, was, ours)
}

// merge writes one status if it differs from the live one.
func (k *statusSink) merge(pass *pass, key gwapi.Key, live, ours report.Report) error {
	merged := report.Merge(key, live, ours, k.source.config.Now())
	if equality.Semantic.DeepEqual(merged, live) {
		return nil
	}
	switch {
	case !says(merged) && !says(live):
		return nil
	case says(merged):
		if err := pass.write(k.source.state, key, merged); err != nil {
			return err
		}
	default:
		if err := pass.remove(k.source.state, key); err != nil {
			return err
		}
	}
	logEvents(k.source.config.Log, key, live, merged)
	return nil
}

// says is false for a status without any content.
func says(status report.Report) bool {
	return len(status.Conditions)+len(status.Listeners)+len(status.Addresses)+
		len(status.Parents)+len(status.Ancestors) > 0
}

// pass is what one round of writing has changed and not shown yet.
type pass struct {
	written manifest.Statuses
	removed []gwapi.Key
	stamps  map[gwapi.Key]stamp
}

func (p *pass) size() int { return len(p.written) + len(p.removed) }

// write replaces the file and reads it back: what a Snapshot shows is what
// stands there, never what was meant to.
func (p *pass) write(state string, key gwapi.Key, status report.Report) error {
	data, err := manifest.EncodeStatus(key, status)
	if err != nil {
		return err
	}
	path := filepath.Join(manifest.StatusDir(state), manifest.StatusFile(key))
	if err := replace(path, data, degraded(status)); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	p.stamps[key] = stampOf(info)
	return p.readBack(path, key)
}

func (p *pass) readBack(path string, key gwapi.Key) error {
	_, content, err := manifest.ReadStatusFile(path)
	if err != nil {
		return err
	}
	if p.written == nil {
		p.written = manifest.Statuses{}
	}
	p.written[key] = content
	return nil
}

func (p *pass) remove(state string, key gwapi.Key) error {
	err := os.Remove(filepath.Join(manifest.StatusDir(state), manifest.StatusFile(key)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(p.stamps, key)
	p.removed = append(p.removed, key)
	return nil
}

// verify looks for files that somebody else has changed or removed. What they
// say is shown then, whatever it does to the modes that rely on it, and the
// next round of writing puts it right.
func (k *statusSink) verify() {
	_, live := k.source.current()
	pass := pass{stamps: k.stamps}
	for key := range live {
		path := filepath.Join(manifest.StatusDir(k.source.state), manifest.StatusFile(key))
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			pass.removed = append(pass.removed, key)
			continue
		}
		if err != nil {
			continue
		}
		current := stampOf(info)
		known, found := k.stamps[key]
		k.stamps[key] = current
		if !found || known == current {
			continue
		}
		if err := pass.readBack(path, key); err != nil {
			pass.removed = append(pass.removed, key)
		}
	}
	if changed := pass.size(); changed > 0 {
		k.source.config.Log.Warn("status files were changed by somebody else and are written anew", "files", changed)
		k.source.showStatuses(&pass)
	}
}

// current is what statuses are written for.
func (s *Source) current() (*manifest.Set, manifest.Statuses) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, maps.Clone(s.statuses)
}

// showStatuses puts what was written into the Snapshot, and signals if that
// decides anything.
func (s *Source) showStatuses(pass *pass) {
	if pass.size() == 0 {
		return
	}
	relevant := false
	s.mu.Lock()
	for key, status := range pass.written {
		relevant = relevant || decides(key, s.statuses[key], status)
		s.statuses[key] = status
	}
	for _, key := range pass.removed {
		relevant = relevant || decides(key, s.statuses[key], report.Report{})
		delete(s.statuses, key)
	}
	s.publish()
	s.mu.Unlock()
	pass.written, pass.removed = nil, nil
	if relevant {
		s.signal()
	}
}

// failures collects errors, the same one once.
type failures struct {
	first error
	count int
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	f.count++
	if f.first == nil {
		f.first = err
	}
}

func (f *failures) err() error {
	if f.count > 1 {
		return fmt.Errorf("%w (and %d more)", f.first, f.count-1)
	}
	return f.first
}
