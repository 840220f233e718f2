package command

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/target"
)

// example is the text with the name by which people call this program.
func example(o Options, text string) string { return strings.ReplaceAll(text, "PROGRAM", o.Program) }

// completeTargets completes a TARGET.
func (o *Options) completeTargets(
	cmd *cobra.Command, _ []string, begun string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.completion(cmd.Context(), begun, gwapi.KindService, gwapi.KindBackendTLSPolicy)
}

// completeObjects completes what inspect takes.
func (o *Options) completeObjects(
	cmd *cobra.Command, _ []string, begun string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.completion(cmd.Context(), begun, target.ObjectKinds...)
}

// completion lists the names in the namespace once the kind is typed, before
// that the kinds.
func (o *Options) completion(
	ctx context.Context, begun string, kinds ...gwapi.Kind,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	const noFiles = cobra.ShellCompDirectiveNoFileComp
	word, _, typed := strings.Cut(begun, "/")
	var list []cobra.Completion
	if !typed {
		for _, kind := range kinds {
			list = append(list, target.Short(kind)+"/")
		}
		return list, noFiles | cobra.ShellCompDirectiveNoSpace
	}
	for _, kind := range kinds {
		if target.Means(kind, word) {
			for _, name := range o.names(ctx, kind, o.Namespace()) {
				list = append(list, word+"/"+name)
			}
		}
	}
	return list, noFiles
}

// completionTime is how long somebody waits for a completion.
const completionTime = 2 * time.Second

// names lists the objects of a kind in a namespace for a completion: in files
// of -f, else in the cluster. What goes wrong is nobody's question there, and a
// line on stderr would spoil the command line.
func (o *Options) names(ctx context.Context, kind gwapi.Kind, namespace string) []string {
	var names []string
	if o.Filename != "" {
		world, err := o.files()
		if err != nil {
			return nil
		}
		if kind == gwapi.KindNamespace {
			return namespacesOf(world.Snapshot)
		}
		for _, name := range target.NamesOf(world.Snapshot, kind) {
			if name.Namespace == namespace {
				names = append(names, name.Name)
			}
		}
		return names
	}
	ctx, cancel := context.WithTimeout(ctx, completionTime)
	defer cancel()
	quiet := *o
	quiet.ErrOut = io.Discard
	reader, err := NewAPI(quiet, o.API.given).Client()
	if err != nil {
		return nil
	}
	names, err = collect.Names(ctx, reader, kind, namespace)
	if err != nil {
		return nil
	}
	return names
}

// namespacesOf lists the namespaces of what can be named: manifests rarely have
// the Namespaces themselves.
func namespacesOf(snap *snapshot.Snapshot) []string {
	found := map[string]bool{}
	for _, kind := range target.ObjectKinds {
		for _, name := range target.NamesOf(snap, kind) {
			found[name.Namespace] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// CompleteFlags completes the flags of the root command that name something in
// the cluster or in the kubeconfig.
func (o *Options) CompleteFlags(root *cobra.Command) error {
	return errors.Join(
		root.RegisterFlagCompletionFunc("namespace", o.completeNamespaces),
		root.RegisterFlagCompletionFunc("context", o.completeContexts))
}

// completeNamespaces completes -n.
func (o *Options) completeNamespaces(
	cmd *cobra.Command, _ []string, _ string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	// -n is on the root command, whose options know nothing of the verb's -f.
	verb := *o
	if file := cmd.Flag("filename"); file != nil {
		verb.Filename = file.Value.String()
	}
	return verb.names(cmd.Context(), gwapi.KindNamespace, ""), cobra.ShellCompDirectiveNoFileComp
}

// completeContexts completes --context.
func (o *Options) completeContexts(
	*cobra.Command, []string, string,
) ([]cobra.Completion, cobra.ShellCompDirective) {
	return o.API.Contexts(), cobra.ShellCompDirectiveNoFileComp
}
