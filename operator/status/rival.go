package status

import (
	"maps"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// others are the field managers besides us that have written the status of an
// object, by name, as the API server lists them. If there is none, somebody
// writes under our name.
func others(object client.Object) []string {
	names := map[string]bool{}
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "status" && entry.Manager != FieldOwner {
			names[entry.Manager] = true
		}
	}
	if len(names) == 0 {
		return []string{"another " + FieldOwner}
	}
	return slices.Sorted(maps.Keys(names))
}

// controllers are those besides ours that have entries in a status.
func controllers(live report.Report) []string {
	names := map[string]bool{}
	for i := range live.Parents {
		names[string(live.Parents[i].ControllerName)] = true
	}
	for i := range live.Ancestors {
		names[string(live.Ancestors[i].ControllerName)] = true
	}
	delete(names, gwapi.ControllerName)
	return slices.Sorted(maps.Keys(names))
}
