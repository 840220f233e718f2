package collect

import (
	"slices"

	"github.com/backendtls/backendtls/internal/model"
)

// Within are the ports that a namespace, or where all is set any, has to do with,
// and which of their paths are: those that begin, lead through or end there.
func (w *World) Within(namespace string, all bool) ([]Port, func(Port, *model.Path) bool) {
	selected := func(port Port, path *model.Path) bool {
		return all || port.Service.Namespace == namespace ||
			path != nil && (path.Gateway.Namespace == namespace || path.Route.Namespace == namespace)
	}
	ports := slices.DeleteFunc(w.Ports(), func(port Port) bool {
		if !port.Used() || len(port.Paths) == 0 {
			return !port.Used() || !selected(port, nil)
		}
		return !slices.ContainsFunc(port.Paths, func(path model.Path) bool { return selected(port, &path) })
	})
	return ports, selected
}
