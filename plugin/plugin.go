package plugin

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/klog/v2"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/backendtls/backendtls/plugin/command"
)

// verbs are the commands, in the order of the help.
func verbs() []func(command.Options) *cobra.Command {
	return []func(command.Options) *cobra.Command{
		command.NewInspect,
		command.NewFetch,
		command.NewVerify,
		command.NewPin,
		command.NewUnpin,
		command.NewSkipVerify,
		command.NewCompletion,
		command.NewVersion,
	}
}

// Execute runs the program, built as the version, and returns its exit code. The
// first Ctrl-C cancels what is under way; a second one ends the program at once.
func Execute(version string) int {
	// Libraries log for the authors of controllers. What concerns the person at
	// the terminal comes as errors and warnings of the verbs.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	ctrllog.SetLogger(logr.Discard())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, version, os.Args, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr})
}

// Run runs one command line, the program's name first, and returns the exit
// code.
func Run(ctx context.Context, version string, argv []string, streams genericiooptions.IOStreams) int {
	dialer := &net.Dialer{}
	return run(ctx, argv[1:], command.Options{
		IOStreams: streams,
		Program:   displayName(argv[0]),
		Version:   version,
		Now:       time.Now,
		Dial:      dialer.DialContext,
		Lookup:    net.DefaultResolver.LookupNetIP,
	})
}

// run is Run with the clock and the network of the options.
func run(ctx context.Context, args []string, options command.Options) int {
	root := NewRoot(options) //nolint:contextcheck // cobra hands each RunE the context of ExecuteContext
	root.SetArgs(args)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// The flags of a verb that does not exist are not what is wrong.
		if cmd == root && !strings.HasPrefix(args[0], "-") {
			return onlyCommands(root, args[:1])
		}
		hint := fmt.Sprintf("`%s --help` lists the flags", cmd.CommandPath())
		if cmd == root {
			hint += fmt.Sprintf("; those of a verb come after it, as in `%s inspect -f DIR`", cmd.CommandPath())
		}
		return fmt.Errorf("%w: %s", command.FlagFault(err), hint)
	})
	return command.Report(ctx, root.ExecuteContext(ctx), options.ErrOut)
}

// NewRoot is the root command with every verb. It sets options.Config
// and options.API.
func NewRoot(options command.Options) *cobra.Command {
	options.Config = genericclioptions.NewConfigFlags(true).WithWarningPrinter(options.IOStreams)
	root := &cobra.Command{
		Use:   filepath.Base(strings.ReplaceAll(options.Program, " ", "-")),
		Short: "See, verify and pin the TLS certificates behind a Gateway",
		Long: `See, verify and pin the TLS certificates behind a Gateway.

Envoy, the data plane behind a Kubernetes Gateway, speaks TLS to a Service if a
BackendTLSPolicy says so, and answers 503 if the certificate that a pod serves
does not pass. This program shows every path from a Gateway to a certificate,
what each endpoint serves now, which check fails, and what to change.

Without a command, at a terminal, it shows every path in the namespace as it
changes, on screens with a key for everything else: inspect does the same, and
takes -A and -f.

It reads a cluster, whatever Gateway implementation runs there. With -f DIR (or
-f FILE) it reads manifests instead, together with the status that a standalone
operator keeps in DIR/.backendtls, and contacts no cluster.`,
		Example: strings.ReplaceAll(`  # Why does the Service answer 503?
  PROGRAM inspect svc/api

  # Every path, and what stands in its way
  PROGRAM inspect -A --probe

  # What do the endpoints serve?
  PROGRAM fetch svc/api

  # Would strict verification pass, so that skip-verify may be turned off?
  PROGRAM verify svc/api --ignore-mode

  # The same about manifests, before they are applied
  PROGRAM inspect -A --probe -f DIR`, "PROGRAM", options.Program),
		Args:              onlyCommands,
		SilenceUsage:      true,
		SilenceErrors:     true,
		DisableAutoGenTag: true,

		SuggestionsMinimumDistance: 2,
		Annotations:                map[string]string{cobra.CommandDisplayNameAnnotation: options.Program},
	}
	root.SetIn(options.In)
	root.SetOut(options.Out)
	root.SetErr(options.ErrOut)
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetUsageTemplate(usageTemplate(root))
	options.Config.AddFlags(root.PersistentFlags())
	root.PersistentFlags().VisitAll(func(flag *pflag.Flag) { flag.Hidden = !slices.Contains(shownFlags, flag.Name) })
	options.API = command.NewAPI(options, root.PersistentFlags())
	root.RunE = func(cmd *cobra.Command, args []string) error { return options.Root(cmd.Context(), cmd, args) }
	// Only a flag that does not exist cannot be completed, and these two do.
	_ = options.CompleteFlags(root)
	for _, verb := range verbs() {
		root.AddCommand(verb(options))
	}
	command.CompleteWords(root)
	return root
}

// shownFlags are those of kubectl that the help lists; the others hold too.
var shownFlags = []string{"namespace", "context", "kubeconfig", "request-timeout"}

// onlyCommands refuses arguments of the root: a verb that does not exist.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("no such command as %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("no such command as %q: `%s --help` lists them", args[0], cmd.CommandPath())
}

// usageTemplate is cobra's with one sentence about the flags that every command
// has in the help of every verb.
func usageTemplate(root *cobra.Command) string {
	const begin, end = "{{if .HasAvailableInheritedFlags}}", "{{end}}"
	template := root.UsageTemplate()
	before, rest, found := strings.Cut(template, begin)
	if !found {
		return template
	}
	_, after, _ := strings.Cut(rest, end)
	return before + begin + "\n\n" +
		"As for every command, -n NAMESPACE says where, --context which cluster, and the other flags of\n" +
		"kubectl about the API server and the user, such as --kubeconfig and --as, hold here too." +
		end + after
}

// displayName is how people call the program: kubectl runs kubectl-NAME for
// "kubectl NAME", with underscores for dashes in it, so a plugin that was
// installed under another name prints that one.
func displayName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".exe")
	if plugin, found := strings.CutPrefix(name, "kubectl-"); found {
		return "kubectl " + strings.ReplaceAll(plugin, "_", "-")
	}
	return name
}
