package collect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/backendtls/backendtls/internal/manifest"
)

// FilePace is how long a Directory waits for things.
type FilePace struct {
	// Settle is how long files must have been left alone before they are read
	// again; Batch is how long that may put it off.
	Settle, Batch time.Duration
	// Rescan is the time between two looks without an event: events get lost, and
	// some file systems have none. Blind is the same where none can be had at all.
	Rescan, Blind time.Duration
}

// UsualFilePace is what people who look at a screen want.
func UsualFilePace() FilePace {
	return FilePace{
		Settle: 60 * time.Millisecond, Batch: 500 * time.Millisecond, Rescan: 10 * time.Second, Blind: 2 * time.Second,
	}
}

// Directory follows a directory of manifests, or one file, and the statuses of
// the operator that serves them.
type Directory struct {
	path, state string
	pace        FilePace
	changes     chan struct{}
	running     sync.WaitGroup
	readings    Readings
}

// FollowFiles follows what Files reads, until ctx ends.
func FollowFiles(ctx context.Context, path, state string, pace FilePace) *Directory {
	d := &Directory{
		path: path, state: state, pace: pace, changes: make(chan struct{}, 1),
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		watcher = nil // Without events, a look from time to time has to do.
	}
	// Before anything is read, so that no change falls between.
	seeing, seen := d.watch(watcher), d.signature()
	d.running.Go(func() {
		if watcher != nil {
			defer func() { _ = watcher.Close() }()
		}
		d.follow(ctx, watcher, seeing, seen)
	})
	return d
}

// Wait waits, after the context has ended, until everything has.
func (d *Directory) Wait() { d.running.Wait() }

// Changes gets a value after something may have changed.
func (d *Directory) Changes() <-chan struct{} { return d.changes }

// Check is what Files would say of the path as a whole.
func Check(path string) error {
	_, _, err := read(path)
	return err
}

// World is what Files makes of it now. A directory whose last manifest went is an
// empty world: somebody deleted that.
func (d *Directory) World(now time.Time) (*World, error) {
	files, problems, err := read(d.path)
	if err != nil && !errors.Is(err, errNoManifests) {
		return nil, err
	}
	return assemble(d.path, d.statePath(), files, problems, now, &d.readings), nil
}

func (d *Directory) statePath() string {
	if d.state != "" {
		return d.state
	}
	return manifest.StateDir(directory(d.path))
}

// follow tells of changes until ctx ends.
func (d *Directory) follow(ctx context.Context, watcher *fsnotify.Watcher, seeing bool, seen string) {
	var events chan fsnotify.Event
	var faults chan error
	if watcher != nil {
		events, faults = watcher.Events, watcher.Errors
	}
	timer := time.NewTimer(d.rescan(seeing))
	defer timer.Stop()
	var first time.Time // When the oldest event came that was not told of.
	for {
		select {
		case <-ctx.Done():
			return
		case <-faults: // An event was lost: the next look finds what it was about.
			timer.Reset(0)
		case event := <-events:
			if !d.concerns(event) {
				continue
			}
			if first.IsZero() {
				first = time.Now()
			}
			timer.Reset(max(0, min(d.pace.Settle, d.pace.Batch-time.Since(first))))
		case <-timer.C:
			seeing = d.watch(watcher)
			if now := d.signature(); now != seen || !first.IsZero() {
				seen = now
				d.changed()
			}
			first = time.Time{}
			timer.Reset(d.rescan(seeing))
		}
	}
}

func (d *Directory) changed() {
	select {
	case d.changes <- struct{}{}:
	default: // One is waiting to be read, which covers this change too.
	}
}

func (d *Directory) rescan(seeing bool) time.Duration {
	if seeing {
		return d.pace.Rescan
	}
	return d.pace.Blind
}

// concerns says whether an event can be about what is read: beside one file
// there may be anything.
func (d *Directory) concerns(event fsnotify.Event) bool {
	if directory(d.path) == d.path || filepath.Dir(event.Name) != filepath.Dir(d.path) {
		return true
	}
	return filepath.Base(event.Name) == filepath.Base(d.path)
}

// watch watches the directories that are there now; false if one of them cannot
// be. Those that went have lost their watches by themselves.
func (d *Directory) watch(watcher *fsnotify.Watcher) bool {
	if watcher == nil {
		return false
	}
	seeing := true
	for _, path := range d.directories() {
		// A directory that is watched already is so once.
		if err := watcher.Add(path); err != nil {
			seeing = false
		}
	}
	return seeing
}

// directories are those in which something that is read can change.
func (d *Directory) directories() []string {
	var list []string
	if directory(d.path) == d.path {
		if listing, err := manifest.List(d.path); err == nil {
			list = listing.Directories
		} else {
			list = []string{d.path}
		}
	} else {
		list = []string{filepath.Dir(d.path)}
	}
	state := d.statePath()
	for _, path := range []string{state, manifest.StatusDir(state)} {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			list = append(list, path)
		}
	}
	return list
}

// signature changes whenever a file may have another content.
func (d *Directory) signature() string {
	var text strings.Builder
	note := func(path string, info fs.FileInfo, err error) {
		if err != nil {
			fmt.Fprintf(&text, "%s %v\n", path, err)
			return
		}
		fmt.Fprintf(&text, "%s %d %d %s\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	info, err := os.Stat(d.path)
	note(d.path, info, err)
	if listing, err := manifest.List(d.path); err == nil {
		for _, entry := range listing.Files {
			note(entry.Path, entry.Info, nil)
		}
		for _, unreadable := range listing.Unreadable {
			note(unreadable.Path, nil, unreadable.Err)
		}
	}
	state := d.statePath()
	generations := manifest.GenerationsPath(state)
	info, err = os.Stat(generations)
	note(generations, info, err)
	entries, err := os.ReadDir(manifest.StatusDir(state))
	if err != nil {
		return text.String()
	}
	for _, entry := range entries {
		info, err := entry.Info()
		note(entry.Name(), info, err)
	}
	return text.String()
}
