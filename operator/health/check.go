package health

import (
	"fmt"
	"net/http"
	"strings"
)

// Check is one thing that has to be so before the operator is ready.
type Check struct {
	// Name is a word or two, the same in every release.
	Name string
	// Ready is nil if it is so, and else a sentence that says what is waited for.
	// It is called for every request and must not wait.
	Ready func() error
}

// alive answers whether the process serves at all. It asks for nothing, because
// a restart helps against nothing that the operator could wait for.
func alive(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive\n") }

// ready answers whether every check is passed, a line for each.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	status := http.StatusOK
	var lines strings.Builder
	for _, check := range s.config.Checks {
		if err := check.Ready(); err != nil {
			status = http.StatusServiceUnavailable
			fmt.Fprintf(&lines, "not ready: %s: %v\n", check.Name, err)
			continue
		}
		fmt.Fprintf(&lines, "ready: %s\n", check.Name)
	}
	answer(w, status, lines.String())
}

func answer(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// Whoever asked may be gone; there is nobody to tell.
	_, _ = w.Write([]byte(text))
}
