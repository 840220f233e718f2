package command

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Options is what every verb starts from. Each verb embeds its own copy, so
// that nothing is shared but the connection flags.
type Options struct {
	genericiooptions.IOStreams

	// Config holds cli-runtime's flags, which are on the root command.
	Config *genericclioptions.ConfigFlags
	// API is the cluster that they name.
	API *API
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

	// Readings spare what the same process read before; nil for a process of one
	// command line.
	Readings *collect.Readings

	// Filename is -f; State is --state, "" for .backendtls beside the files.
	Filename, State string

	// roots says that the verb may make a policy that trusts the system's roots.
	roots bool
}

// AddFileFlag adds -f.
func (o *Options) AddFileFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.Filename, "filename", "f", "",
		"Directory of manifests, or one file, instead of a cluster: the whole world, no cluster is contacted")
	cmd.Flags().StringVar(&o.State, "state", "",
		"With -f: directory where the operator keeps status, if it runs with --state too "+
			"(default: .backendtls beside the files)")
}

// World reads the files of -f, or else the cluster, and says on stderr what is
// wrong with them. A cluster is read as far as the namespace needs it.
func (o *Options) World(ctx context.Context) (*collect.World, error) { return o.world(ctx, false) }

// world is World, of every namespace where all is set.
func (o *Options) world(ctx context.Context, all bool) (*collect.World, error) {
	if err := o.placeable(); err != nil {
		return nil, err
	}
	if o.Filename == "" {
		return o.cluster(ctx, all)
	}
	world, err := o.files()
	if err != nil {
		return nil, err
	}
	for _, problem := range world.Problems {
		o.Warn("%s", problem)
	}
	return world, nil
}

// files reads the files of -f.
func (o *Options) files() (*collect.World, error) {
	if o.Readings == nil {
		return collect.Files(o.Filename, o.State, o.Now())
	}
	return o.Readings.Files(o.Filename, o.State, o.Now())
}

// cluster reads the cluster.
func (o *Options) cluster(ctx context.Context, all bool) (*collect.World, error) {
	config, err := o.API.RESTConfig()
	if err != nil {
		return nil, err
	}
	reader, err := o.Client()
	if err != nil {
		return nil, err
	}
	namespace, err := o.API.Namespace()
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	progress := o.reading("reading " + o.API.Name())
	defer progress.done()
	world, err := collect.Cluster(ctx, collect.ClusterConfig{
		Client: reader, Source: o.API.Name(), Namespace: namespace, AllNamespaces: all, SystemRoots: o.roots,
		Timeout: max(session.ReadTimeout, config.Timeout), Now: o.serverNow, Progress: progress.show,
	})
	if err != nil {
		return nil, err
	}
	progress.done()
	for _, warning := range world.Warnings {
		o.Warn("%s", warning)
	}
	if ahead := o.API.Ahead(); ahead.Abs() >= time.Minute {
		o.Warn("this machine's clock and the API server's differ by %s: times are judged by the API server's",
			ahead.Abs().Round(time.Second))
	}
	return world, nil
}

// Client reads and writes the cluster.
func (o *Options) Client() (client.Client, error) { return o.API.Client() }

// serverNow is the time that modes and dates in a cluster are judged by.
func (o *Options) serverNow() time.Time { return session.ServerNow(o.Now(), o.API.Ahead()) }

// Namespace is -n. Without it, it is the kubeconfig's in a cluster and "default"
// in files: objects there that name no namespace are in that one, whatever a
// kubeconfig says.
func (o *Options) Namespace() string {
	if o.Config.Namespace != nil && *o.Config.Namespace != "" {
		return *o.Config.Namespace
	}
	if o.Filename == "" && o.API != nil {
		if namespace, err := o.API.Namespace(); err == nil {
			return namespace
		}
	}
	return "default"
}

// Warn prints a line on stderr.
func (o *Options) Warn(format string, args ...any) {
	fmt.Fprintf(o.ErrOut, "warning: %s\n", untrusted.Text(fmt.Sprintf(format, args...)))
}
