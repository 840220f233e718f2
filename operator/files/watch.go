package files

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// watch turns the events of a changing set of directories into one: look
// again. What happened is found by looking, because events can be lost, and
// because the file of an event may be a link to what changed.
type watch struct {
	log     *slog.Logger
	watcher *fsnotify.Watcher
	watched map[string]fs.FileInfo
	wake    chan struct{}
	stopped chan struct{}
	// blind says that events cannot be had, for a reason that was logged.
	blind bool
}

func newWatch(log *slog.Logger) *watch {
	w := &watch{
		log: log, watched: map[string]fs.FileInfo{}, wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		w.lament(err)
		close(w.stopped)
		return w
	}
	w.watcher = watcher
	go w.listen()
	return w
}

// events gets a value when there may be something new.
func (w *watch) events() <-chan struct{} { return w.wake }

func (w *watch) close() {
	if w.watcher != nil {
		if err := w.watcher.Close(); err != nil {
			w.log.Warn("the watch could not be closed", "error", err)
		}
	}
	<-w.stopped
}

func (w *watch) listen() {
	defer close(w.stopped)
	events, errs := w.watcher.Events, w.watcher.Errors
	for events != nil || errs != nil {
		select {
		case _, open := <-events:
			if !open {
				events = nil
				continue
			}
		case err, open := <-errs:
			if !open {
				errs = nil
				continue
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				w.log.Warn("a file event was lost; the next look finds what it was about", "error", err)
			}
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// follow watches these directories and no others. It is false if some cannot
// be watched, so that somebody has to look from time to time.
func (w *watch) follow(directories []string) bool {
	if w.watcher == nil {
		return false
	}
	// A directory that is moved loses its watch, also if it comes back.
	alive := make(map[string]bool, len(w.watched))
	for _, dir := range w.watcher.WatchList() {
		alive[dir] = true
	}
	maps.DeleteFunc(w.watched, func(dir string, _ fs.FileInfo) bool { return !alive[dir] })
	wanted := make(map[string]bool, len(directories))
	blind := false
	for _, dir := range directories {
		wanted[dir] = true
		if err := w.add(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			blind = true
			w.lament(err)
		}
	}
	for dir := range w.watched {
		if !wanted[dir] {
			w.forget(dir)
		}
	}
	if !blind && w.blind {
		w.log.Info("changes are noticed at once again")
	}
	w.blind = blind
	return !blind
}

// add watches a directory, and anew where another one has taken its place.
func (w *watch) add(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if was, found := w.watched[dir]; found {
		if os.SameFile(was, info) {
			return nil
		}
		w.forget(dir)
	}
	if err := w.watcher.Add(dir); err != nil {
		return err
	}
	w.watched[dir] = info
	// Something may have happened before the watch was there.
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

func (w *watch) forget(dir string) {
	delete(w.watched, dir)
	// The watch of a directory that was removed went with it.
	if err := w.watcher.Remove(dir); err != nil && !errors.Is(err, fsnotify.ErrNonExistentWatch) {
		w.log.Debug("a watch was not removed", "directory", dir, "error", err)
	}
}

// lament says once why changes are noticed late, and what helps.
func (w *watch) lament(err error) {
	if w.blind {
		return
	}
	w.blind = true
	advice := ""
	switch {
	case errors.Is(err, syscall.ENOSPC):
		advice = "raise the sysctl fs.inotify.max_user_watches"
	case errors.Is(err, syscall.EMFILE):
		advice = "raise the sysctl fs.inotify.max_user_instances"
	}
	w.log.Warn("changes of files are noticed up to a second late", "error", err, "advice", advice)
}
