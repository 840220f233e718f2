package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/test/localcluster/internal/build"
	"github.com/backendtls/backendtls/test/localcluster/internal/cluster"
	"github.com/backendtls/backendtls/test/localcluster/internal/network"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
	"github.com/backendtls/backendtls/test/localcluster/internal/supervisor"
)

func up(options *options) *cobra.Command {
	builder := build.Builder{Say: say}
	var addresses string
	command := &cobra.Command{
		Use:   "up",
		Short: "Make the cluster unless it is there, and start what does not run",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := build.Root(); err != nil {
				return err
			}
			if err := build.Missing(command.Context()); err != nil {
				return err
			}
			var wanted *netip.Prefix
			if addresses != "" {
				parsed, err := network.ParseRange(addresses)
				if err != nil {
					return err
				}
				wanted = &parsed
			}
			cluster, err := options.cluster()
			if err != nil {
				return err
			}
			return cluster.Up(command.Context(), builder, wanted)
		},
	}
	flags := command.Flags()
	flags.StringVar(&builder.Sources, "sources", "test/localcluster/components", "directory of the component modules")
	flags.StringVar(&builder.Cache, "cache", ".build/cluster", "directory that keeps what was built")
	flags.StringVar(&addresses, "range", "", "private range of addresses to use, a /16 (default: the first free one)")
	return command
}

func down(options *options) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the cluster with everything that belongs to it",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := build.Root(); err != nil {
				return err
			}
			cluster, err := options.cluster()
			if err != nil {
				return err
			}
			return cluster.Down(command.Context())
		},
	}
}

func status(options *options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Tell whether each part works; fails if one does not",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			cluster, err := options.cluster()
			if err != nil {
				return err
			}
			statuses, err := cluster.Status(command.Context())
			if err != nil {
				return err
			}
			return show(command, statuses)
		},
	}
}

func show(command *cobra.Command, statuses []supervisor.Status) error {
	table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "PART\tPID\tFOR\tSTATE")
	var faulty []string
	for _, status := range statuses {
		pid, age, state := "-", "-", "healthy"
		if status.Running {
			pid, age = fmt.Sprint(status.PID), time.Since(status.Started).Round(time.Second).String()
		}
		if !status.Healthy {
			state = cluster.Reason(status)
			faulty = append(faulty, status.Name)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", status.Name, pid, age, state)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(faulty) > 0 {
		return fmt.Errorf("%s: not healthy", strings.Join(faulty, ", "))
	}
	return nil
}

func load(options *options) *cobra.Command {
	return &cobra.Command{
		Use:   "load FILE.tar...",
		Short: "Put the images of tar files into the cluster, except those that it has",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, files []string) error {
			cluster, err := options.cluster()
			if err != nil {
				return err
			}
			return cluster.Load(command.Context(), files)
		},
	}
}

// actions are the commands that do something to parts.
func actions(options *options) []*cobra.Command {
	var commands []*cobra.Command
	for action, does := range supervisor.Actions() {
		commands = append(commands, &cobra.Command{
			Use:       action + " PART...",
			Short:     strings.ToUpper(does[:1]) + does[1:],
			Long:      strings.ToUpper(does[:1]) + does[1:] + ".\n\nParts: " + strings.Join(part.Names(), ", "),
			Args:      cobra.MinimumNArgs(1),
			ValidArgs: part.Names(),
			RunE: func(command *cobra.Command, names []string) error {
				cluster, err := options.cluster()
				if err != nil {
					return err
				}
				return cluster.Act(command.Context(), action, names)
			},
		})
	}
	slices.SortFunc(commands, func(a, b *cobra.Command) int { return strings.Compare(a.Use, b.Use) })
	return commands
}

func supervise(options *options) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Hidden: true,
		Short:  "Be the supervisor; up starts it",
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return cluster.Supervise(command.Context(), options.dir)
		},
	}
}
