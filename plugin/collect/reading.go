package collect

import (
	"sync"

	"github.com/backendtls/backendtls/internal/manifest"
)

// readings are what was parsed of each file: a document that stays as it is is
// not parsed again.
type readings struct {
	lock   sync.Mutex
	parsed map[string]manifest.Parsed
}

// parse is manifest.Parse at the cost of what has changed.
func (r *readings) parse(files []manifest.File) (*manifest.Set, []manifest.Problem) {
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
