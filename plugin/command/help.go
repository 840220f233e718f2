package command

import (
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/target"
)

// example is the text with the name by which people call this program.
func example(o Options, text string) string { return strings.ReplaceAll(text, "PROGRAM", o.Program) }

// completeTargets completes a TARGET from the files of -f.
func (o *Options) completeTargets(
	_ *cobra.Command, _ []string, begun string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.completion(begun, gwapi.KindService, gwapi.KindBackendTLSPolicy)
}

// completeObjects completes what inspect takes.
func (o *Options) completeObjects(
	_ *cobra.Command, _ []string, begun string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.completion(begun,
		gwapi.KindService, gwapi.KindBackendTLSPolicy, gwapi.KindGateway, gwapi.KindHTTPRoute)
}

// completion lists the names in the namespace once the kind is typed, before
// that the kinds.
func (o *Options) completion(begun string, kinds ...gwapi.Kind) ([]cobra.Completion, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	word, _, typed := strings.Cut(begun, "/")
	var list []cobra.Completion
	if !typed {
		for _, kind := range kinds {
			list = append(list, target.Short(kind)+"/")
		}
		return list, noFiles | cobra.ShellCompDirectiveNoSpace
	}
	if o.Filename == "" {
		return nil, noFiles
	}
	world, err := collect.Files(o.Filename, o.State, o.Now())
	if err != nil {
		return nil, noFiles
	}
	for _, kind := range kinds {
		if !target.Means(kind, word) {
			continue
		}
		for _, name := range target.NamesOf(world.Snapshot, kind) {
			if (types.NamespacedName{Namespace: o.Namespace(), Name: name.Name}) == name {
				list = append(list, word+"/"+name.Name)
			}
		}
	}
	return list, noFiles
}
