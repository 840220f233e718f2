package main

import (
	"errors"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/operator/drain"
)

const drainHelp = `Let the clients of an Envoy leave before it ends.

This is what the Envoy containers of a cluster run when their pod is told to
end; nobody needs to call it. For --delay Envoy goes on as before, while load
balancers learn that it leaves; then each response tells its client to connect
anew, until nobody is connected or --patience is over.

--install copies this program to a file, from where a container without it, such
as Envoy's, can run it.`

func drainCommand() *cobra.Command {
	var config drain.Config
	var install string
	command := &cobra.Command{
		Use:   "drain (--admin-socket PATH | --install FILE)",
		Short: "Let the clients of an Envoy leave before it ends",
		Long:  drainHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if install != "" {
				return drain.Install(install)
			}
			if config.Delay < 0 || config.Patience < 0 {
				return errors.New("--delay and --patience must not be negative")
			}
			config.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
			return drain.Envoy(cmd.Context(), config)
		},
	}
	flags := command.Flags()
	flags.StringVar(&config.Admin, "admin-socket", "", "path of Envoy's admin socket")
	flags.StringVar(&install, "install", "", "file to copy this program to")
	flags.DurationVar(&config.Delay, "delay", 5*time.Second, "time before clients are told to leave")
	flags.DurationVar(&config.Patience, "patience", 45*time.Second, "time that clients have to leave")
	command.MarkFlagsOneRequired("admin-socket", "install")
	command.MarkFlagsMutuallyExclusive("admin-socket", "install")
	return command
}
