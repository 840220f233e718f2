package command

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/view"
)

// flagWords are the words that a flag takes, whatever the verb. A flag without
// any takes text that no file's name is.
func flagWords(name string) (words []cobra.Completion, known bool) {
	switch name {
	case "form":
		for _, form := range edit.Forms {
			words = append(words, string(form))
		}
		return words, true
	case "via":
		return []cobra.Completion{
			cobra.CompletionWithDesc(session.ViaPortForward, "pods, through the API server"),
			cobra.CompletionWithDesc(session.ViaDirect, "addresses, from here"),
		}, true
	case "only":
		return []cobra.Completion{
			cobra.CompletionWithDesc("expiry", "skip the dates"), cobra.CompletionWithDesc("name", "skip the names"),
		}, true
	case "dry-run":
		return []cobra.Completion{
			cobra.CompletionWithDesc(dryRunNone, "write"),
			cobra.CompletionWithDesc(dryRunClient, "show what would change"),
			cobra.CompletionWithDesc(dryRunServer, "let the API server say what it would store"),
		}, true
	case "for", "probe-timeout", "wait", "request-timeout":
		return []cobra.Completion{"30s", "1m", "30m", "1h", "2h"}, true
	case "address", "hostname", "policy-name", "reason", "selector", "sni":
		return nil, true
	default:
		return nil, false
	}
}

// CompleteWords completes the flags of a command, and of those below it, that
// take one of a few words.
func CompleteWords(cmd *cobra.Command) {
	cmd.LocalFlags().VisitAll(func(flag *pflag.Flag) {
		if words, known := flagWords(flag.Name); known {
			// It fails for a flag that does not exist, and for one that is completed
			// already, which is better than by words.
			_ = cmd.RegisterFlagCompletionFunc(flag.Name,
				cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
		}
	})
	for _, below := range cmd.Commands() {
		CompleteWords(below)
	}
}

// completeFormats completes -o. A format that wants a template ends in an
// equals sign, and no space follows it.
func completeFormats(allowed []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		var list []cobra.Completion
		directive := cobra.ShellCompDirectiveNoFileComp
		for _, format := range allowed {
			word, _, wants := strings.Cut(view.Spelled([]string{format}), "=")
			if wants {
				word += "="
			}
			if strings.HasPrefix(word, begun) {
				list = append(list, word)
			}
		}
		if len(list) == 1 && strings.HasSuffix(list[0], "=") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return list, directive
	}
}
