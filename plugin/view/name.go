package view

import (
	"fmt"
	"io"
	"slices"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// Names prints each port once, in the form to type after a verb. Names alone are
// ambiguous where several namespaces are meant; then each line also has the flag
// that says which: `xargs -L1` takes such lines.
func Names(w io.Writer, ports []cliv1alpha1.PortReference, withNamespace bool) error {
	var names []string
	for _, port := range ports {
		name := service(port)
		if withNamespace {
			name += " -n " + port.Namespace
		}
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, err := fmt.Fprintln(w, name); err != nil {
			return err
		}
	}
	return nil
}
