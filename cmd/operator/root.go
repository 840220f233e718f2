package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "development"

func root() *cobra.Command {
	command := &cobra.Command{
		Use:           "backendtls-operator",
		Short:         "Program Envoy from Gateway API objects, with TLS to backends strict by default",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          onlyCommands,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	command.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, cmd.CommandPath())
	})
	command.AddCommand(run(), standalone(), drainCommand(), &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version)
			return err
		},
	})
	return command
}

// onlyCommands refuses arguments of the root: a command that does not exist.
func onlyCommands(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("no such command as %q: did you mean %s?", args[0], strings.Join(near, " or "))
	}
	return fmt.Errorf("no such command as %q: `%s --help` lists them", args[0], cmd.CommandPath())
}
