package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// kubectlCompletion is the program that kubectl (1.26 and newer) runs to
// complete the arguments of a plugin: kubectl_complete-NAME on the PATH.
const kubectlCompletion = `#!/bin/sh
# Completion of "%[1]s" for kubectl 1.26 and newer. Install it with
#   %[1]s completion kubectl > %[2]s && chmod +x %[2]s
# in a directory that is on the PATH.
exec %[1]s __complete "$@"
`

// NewCompletion is `completion`.
func NewCompletion(o Options) *cobra.Command {
	return &cobra.Command{
		Use:   "completion kubectl|bash|zsh|fish|powershell",
		Short: "Print a completion script",
		Long: `Print a completion script.

"kubectl" prints the small program that kubectl runs to complete a plugin's
arguments; the others complete the program when it is called by its own name.`,
		Example: `  # Complete "kubectl backendtls" (kubectl 1.26 and newer)
  kubectl backendtls completion kubectl > ~/.local/bin/kubectl_complete-backendtls
  chmod +x ~/.local/bin/kubectl_complete-backendtls

  # Complete "kubectl-backendtls" in this bash, which needs the package bash-completion
  source <(kubectl-backendtls completion bash)

  # In zsh, after compinit; in fish; in PowerShell
  source <(kubectl-backendtls completion zsh)
  kubectl-backendtls completion fish | source
  kubectl-backendtls completion powershell | Out-String | Invoke-Expression`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && slices.Contains(cmd.ValidArgs, args[0]) {
				return nil
			}
			known := strings.Join(cmd.ValidArgs, ", ")
			if len(args) == 0 {
				return fmt.Errorf("nothing is named: want one of %s", known)
			}
			return fmt.Errorf("%q: want one of %s", strings.Join(args, " "), known)
		},
		ValidArgs: []string{"kubectl", "bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(o.Out, true)
			case "zsh":
				return root.GenZshCompletion(o.Out)
			case "fish":
				return root.GenFishCompletion(o.Out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(o.Out)
			default:
				_, err := fmt.Fprintf(o.Out, kubectlCompletion, o.Program, completer(o.Program))
				return err
			}
		},
	}
}

// completer is the file name that kubectl looks for: kubectl_complete-NAME
// with the dashes of the plugin's name as underscores.
func completer(program string) string {
	words := strings.Fields(program)
	return "kubectl_complete-" + strings.ReplaceAll(words[len(words)-1], "-", "_")
}
