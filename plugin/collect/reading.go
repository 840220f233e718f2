package collect

import (
	"sync"
	"time"

	"github.com/backendtls/backendtls/internal/manifest"
)

// Readings are what was parsed of each file: a document that stays as it is is
// not parsed again by whoever reads the same files by them, over and over. They
// may be used concurrently.
type Readings struct {
	lock   sync.Mutex
	parsed map[string]manifest.Parsed
}

// Files is the function of that name at the cost of what has changed.
func (r *Readings) Files(path, state string, now time.Time) (*World, error) {
	files, problems, err := read(path)
	if err != nil {
		return nil, err
	}
	if state == "" {
		state = manifest.StateDir(directory(path))
	}
	return assemble(path, state, files, problems, now, r), nil
}

// parse is manifest.Parse at the cost of what has changed.
func (r *Readings) parse(files []manifest.File) (*manifest.Set, []manifest.Problem) {
	r.lock.Lock()
	defer r.lock.Unlock()
	parsed := make(map[string]manifest.Parsed, len(files))
	list := make([]manifest.Parsed, len(files))
	for i, file := range files {
		list[i] = r.parsed[file.Path].Next(file)
		parsed[file.Path] = list[i]
	}
	r.parsed = parsed
	return manifest.Combine(list, nil)
}
