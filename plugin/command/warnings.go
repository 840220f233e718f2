package command

import "sync"

// warnings says what came as a warning with an answer of the API server, each
// once: a dry run and the write after it are warned about alike. Without such a
// handler the client would log them, with a timestamp.
type warnings struct {
	say  func(format string, args ...any)
	lock sync.Mutex
	said map[string]bool
}

// HandleWarningHeader takes one Warning header. Kubernetes sends code 299 only
// (k8s.io/client-go/rest, WarningHandler).
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if code != 299 || text == "" || w.said[text] {
		return
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[text] = true
	w.say("%s", text)
}
