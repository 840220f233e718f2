// Command localcluster makes a real Kubernetes cluster of one node on a Linux
// host, without Docker and without a registry: its programs are built from
// their Go modules, its images from the project's own binaries.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/test/localcluster/internal/cluster"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("interrupted; the next command clears away what is left: %w", err)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "localcluster:", err)
		os.Exit(1)
	}
}

// options are those of all commands.
type options struct {
	dir string
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use:           "localcluster",
		Short:         "A real Kubernetes cluster of one node, without Docker or a registry",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	options := &options{}
	root.PersistentFlags().StringVar(&options.dir, "dir", ".cluster", "directory that holds the cluster")
	root.AddCommand(up(options), down(options), status(options), load(options), supervise(options), makeImage())
	root.AddCommand(actions(options)...)
	return root
}

// cluster is the one that the options mean.
func (o *options) cluster() (*cluster.Cluster, error) {
	return cluster.In(o.dir, say)
}

// say tells a person how things go.
func say(format string, arguments ...any) {
	fmt.Printf("localcluster: "+format+"\n", arguments...)
}
