package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Options is what every verb starts from. Each verb embeds its own copy, so
// that nothing is shared but the connection flags.
type Options struct {
	genericiooptions.IOStreams

	// Config holds cli-runtime's flags, which are on the root command.
	Config *genericclioptions.ConfigFlags
	// Program is how people call this program: "kubectl backendtls".
	Program string
	// Version is what the linker was told; "" if nothing.
	Version string
	// Now is the clock.
	Now func() time.Time
	// Dial opens connections to endpoints.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lookup resolves the host names of --address; network is "ip".
	Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	// Filename is -f; State is --state, "" for .backendtls beside the files.
	Filename, State string
}

// errNoFiles is said where -f is missing.
var errNoFiles = errors.New("this version reads files, not clusters")

// AddFileFlag adds -f.
func (o *Options) AddFileFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Filename, "filename", "f", "",
		"Directory of manifests, or one file: the whole world, no cluster is contacted")
	cmd.Flags().StringVar(&o.State, "state", "",
		"Directory where the operator keeps status, if it runs with --state too (default: .backendtls beside the files)")
}

// World reads the files and says on stderr what is wrong with them.
func (o *Options) World(cmd *cobra.Command) (*collect.World, error) {
	if o.Filename == "" {
		return nil, fmt.Errorf("%w: `%s ... -f DIR`", errNoFiles, cmd.CommandPath())
	}
	world, err := collect.Files(o.Filename, o.State, o.Now())
	if err != nil {
		return nil, err
	}
	for _, problem := range world.Problems {
		o.Warn("%s", problem)
	}
	return world, nil
}

// Namespace is -n, else "default": objects in files that name no namespace are
// there, whatever a kubeconfig says.
func (o *Options) Namespace() string {
	if o.Config.Namespace != nil && *o.Config.Namespace != "" {
		return *o.Config.Namespace
	}
	return "default"
}

// Warn prints a line on stderr.
func (o *Options) Warn(format string, args ...any) {
	fmt.Fprintf(o.ErrOut, "warning: %s\n", untrusted.Text(fmt.Sprintf(format, args...)))
}
