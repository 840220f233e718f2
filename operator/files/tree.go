package files

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/backendtls/backendtls/internal/manifest"
)

// tree is what is known of each file. A file is read when it has settled, and
// what was read last stays until something better was.
type tree struct {
	tracked map[string]*tracked
	// unreadable are the paths that could not be examined at the last look.
	unreadable []manifest.Unreadable
	started    bool
	// dirty says that something was found that no Set was made of yet.
	dirty bool
	// pendingSince is when the oldest change that is not dealt with was noticed.
	pendingSince time.Time
}

// tracked is one file.
type tracked struct {
	// seen is the file at the last look, and since when; the zero stamp if it
	// is gone. Read is the one whose content was taken.
	seen, read stamp
	since      time.Time
	// pendingSince is when seen and read began to differ.
	pendingSince time.Time
	// parsed is the last content that could be understood; usable says that
	// there was one.
	parsed manifest.Parsed
	usable bool
	// problem is why the present content is not used; nil if it is.
	problem *manifest.Problem
}

// stamp changes whenever a file may have another content or other rights.
type stamp struct {
	device, inode    uint64
	size             int64
	modified, status time.Time
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime()}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode, s.status = system.Dev, system.Ino, time.Unix(system.Ctim.Unix())
	}
	return s
}

func newTree() *tree { return &tree{tracked: map[string]*tracked{}} }

// verdict is what a look found.
type verdict struct {
	// changed: there is something new to make a Set of.
	changed bool
	// wait: look again that soon, because something is being written; 0 if not.
	wait time.Duration
}

// look takes note of what is there and reads what has settled. What changes
// together is taken together, as long as it settles in time.
func (t *tree) look(listing manifest.Listing, now time.Time, pace pace) verdict {
	t.notice(listing, now)
	var ready []string
	unsettled := false
	for path, file := range t.tracked {
		switch {
		case file.seen == file.read:
		case file.settled(path, now, pace):
			ready = append(ready, path)
		default:
			unsettled = true
			t.complain(path, file, now, pace)
		}
	}
	switch {
	case !unsettled && len(ready) == 0:
		t.pendingSince = time.Time{}
	case t.pendingSince.IsZero():
		t.pendingSince = now
	}
	if unsettled && now.Sub(t.pendingSince) < pace.batch {
		return verdict{wait: pace.settle}
	}
	for _, path := range ready {
		if !t.take(path, now) {
			unsettled = true
		}
	}
	changed := t.dirty || len(ready) > 0
	t.dirty = false
	switch {
	case !unsettled:
		t.pendingSince = time.Time{}
		return verdict{changed: changed}
	case now.Sub(t.pendingSince) > pace.writing:
		return verdict{changed: changed, wait: pace.batch}
	}
	return verdict{changed: changed, wait: pace.settle}
}

// notice compares what is there with what was seen.
func (t *tree) notice(listing manifest.Listing, now time.Time) {
	first := !t.started
	t.started = true
	if first || !slices.EqualFunc(t.unreadable, listing.Unreadable, sameUnreadable) {
		t.dirty = true
	}
	t.unreadable = listing.Unreadable
	present := make(map[string]bool, len(listing.Files))
	for _, entry := range listing.Files {
		present[entry.Path] = true
		file, known := t.tracked[entry.Path]
		if !known {
			file = &tracked{}
			t.tracked[entry.Path] = file
		}
		since := now
		if first && entry.Info.ModTime().Before(now) {
			// Nobody has touched it since, so that a start need not wait.
			since = entry.Info.ModTime()
		}
		file.notice(stampOf(entry.Info), since, now)
	}
	for path, file := range t.tracked {
		switch {
		case present[path] || t.hidden(path):
		case file.read == stamp{}:
			delete(t.tracked, path) // It came and went.
		default:
			// An editor that saves by renaming lets a file vanish for a moment.
			file.notice(stamp{}, now, now)
		}
	}
}

func sameUnreadable(a, b manifest.Unreadable) bool {
	return a.Path == b.Path && a.Err.Error() == b.Err.Error()
}

func (f *tracked) notice(current stamp, since, now time.Time) {
	if current == f.seen {
		return
	}
	f.seen, f.since = current, since
	if f.pendingSince.IsZero() {
		f.pendingSince = now
	}
}

// complain says of a file that does not settle why it is not read.
func (t *tree) complain(path string, file *tracked, now time.Time, pace pace) {
	if now.Sub(file.pendingSince) < pace.writing || file.problem != nil {
		return
	}
	file.problem = &manifest.Problem{
		File: path, Class: manifest.Unparsable, Message: "is still being written by another process",
	}
	t.dirty = true
}

// hidden says whether a path lies where nobody could look.
func (t *tree) hidden(path string) bool {
	return slices.ContainsFunc(t.unreadable, func(u manifest.Unreadable) bool {
		return u.Path == path || strings.HasPrefix(path, u.Path+string(filepath.Separator))
	})
}

// settled says whether a file may be read: it has been quiet for a while and
// nobody has it open for writing. A writer that only keeps it open, or one that
// never rests, cannot put it off for ever.
func (f *tracked) settled(path string, now time.Time, pace pace) bool {
	quiet := now.Sub(f.since)
	switch {
	case f.seen == stamp{}:
		return quiet >= pace.settle
	case quiet >= pace.writing:
		return true
	case quiet >= pace.settle, now.Sub(f.pendingSince) >= pace.writing:
		return !beingWritten(path)
	}
	return false
}

// take reads the file, or drops it if it is gone; false if it changed
// meanwhile.
func (t *tree) take(path string, now time.Time) bool {
	file := t.tracked[path]
	if file.seen == (stamp{}) {
		delete(t.tracked, path)
		return true
	}
	content, info, err := manifest.Read(path)
	if err != nil {
		file.accept()
		file.problem = problemOf(path, err)
		return true
	}
	if current := stampOf(info); current != file.seen {
		file.notice(current, now, now)
		return false
	}
	file.accept()
	parsed := file.parsed.Next(content)
	switch kept := len(file.parsed.Objects); {
	case parsed.Unusable():
		file.problem = &parsed.Problems[0]
	case parsed.Blank && kept > 0:
		// A shell that redirects into a file empties it before anything is written.
		file.problem = problemOf(path, fmt.Errorf("is empty: its objects (%d) stay until it is deleted", kept))
	default:
		file.parsed, file.usable, file.problem = parsed, true, nil
	}
	return true
}

func (f *tracked) accept() { f.read, f.pendingSince = f.seen, time.Time{} }

// problemOf is an error about a file as a whole.
func problemOf(path string, err error) *manifest.Problem {
	return &manifest.Problem{
		File: path, Class: manifest.Unparsable, Message: strings.TrimPrefix(err.Error(), path+": "),
	}
}

// parsed lists the last good content of every file, by path, and then the
// problem of each whose present content is not known: something may have moved
// there.
func (t *tree) parsed() []manifest.Parsed {
	var files []manifest.Parsed
	for _, path := range slices.Sorted(maps.Keys(t.tracked)) {
		if t.tracked[path].usable {
			files = append(files, t.tracked[path].parsed)
		}
	}
	for _, problem := range t.problems() {
		files = append(files, manifest.Parsed{Path: problem.File, Problems: []manifest.Problem{problem}})
	}
	return files
}

// problems are the files whose present content is not used.
func (t *tree) problems() []manifest.Problem {
	var problems []manifest.Problem
	for _, file := range t.tracked {
		if file.problem != nil {
			problems = append(problems, *file.problem)
		}
	}
	for _, unreadable := range t.unreadable {
		problems = append(problems, *problemOf(unreadable.Path, unreadable.Err))
	}
	slices.SortFunc(problems, func(a, b manifest.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return problems
}

// waiting names the files without which there is no first Snapshot.
func (t *tree) waiting() []string {
	var waiting []string
	for _, problem := range t.problems() {
		waiting = append(waiting, problem.Place())
	}
	for path, file := range t.tracked {
		if !file.usable && file.problem == nil {
			waiting = append(waiting, path)
		}
	}
	slices.Sort(waiting)
	return waiting
}
