package collect

import (
	"slices"

	"github.com/backendtls/backendtls/internal/manifest"
)

// Unread lists the problems of the manifests that could not be read or parsed:
// whatever such a file holds is missing from the World, and nobody knows what
// that is. Statuses are not manifests.
func (w *World) Unread() []manifest.Problem {
	unread := slices.Clone(w.unread)
	for _, problem := range w.Problems {
		if _, read := w.Content(problem.File); read && problem.Class == manifest.Unparsable {
			unread = append(unread, problem)
		}
	}
	return unread
}
