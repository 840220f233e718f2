package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/backendtls/backendtls/operator"
	"github.com/backendtls/backendtls/operator/authority"
	"github.com/backendtls/backendtls/operator/probe"
)

const runHelp = `Run Gateways in a Kubernetes cluster.

The operator reads Gateway API objects, runs an Envoy Deployment for each Gateway
whose GatewayClass has the controllerName backendtls.dev/gateway-controller,
programs these Envoys over xDS, and writes statuses. Every replica serves xDS;
the one that holds the lease backendtls-operator writes.

It is meant to be run by the Deployment in manifests/, which gives it its name,
namespace, address and rights. Envoys prove who they are by ServiceAccount
tokens; there is no way to serve xDS without TLS or without a token.`

func run() *cobra.Command {
	c := operator.Cluster{
		PodName: os.Getenv("POD_NAME"), Namespace: os.Getenv("POD_NAMESPACE"), PodIP: os.Getenv("POD_IP"),
	}
	var kubeconfig string
	var verbose bool
	command := &cobra.Command{
		Use:   "run",
		Short: "Run Gateways in a Kubernetes cluster",
		Long:  runHelp,
		Example: `  kubectl apply -k manifests
  kubectl -n backendtls-system logs deployment/backendtls-operator`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%q is no flag: run takes no arguments", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmp.Or(checkTrust(&c), checkProbe(&c)); err != nil {
				return err
			}
			if err := completeCluster(&c, kubeconfig); err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			c.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			return c.Run(cmd.Context())
		},
	}
	flags := command.Flags()
	flags.StringVar(&kubeconfig, "kubeconfig", "",
		"kubeconfig of the cluster (default: the ServiceAccount of the pod; never the environment)")
	flags.StringVar(&c.XDSAddress, "xds-address", ":18000", "where Envoys connect, TLS 1.3 with a token")
	flags.StringVar(&c.LedgerAddress, "ledger-address", ":18001", "where other replicas ask what Envoys acknowledged")
	flags.StringVar(&c.HealthAddress, "health-address", ":8081", "where /healthz and /readyz are")
	flags.StringVar(&c.MetricsAddress, "metrics-address", ":8080", "where /metrics is")
	flags.StringVar(&c.PprofAddress, "pprof-address", "",
		"loopback address of Go's profiles, such as 127.0.0.1:6060 (default: none)")
	flags.StringVar(&c.LedgerToken, "ledger-token", "/var/run/secrets/backendtls/ledger/token",
		"file of this replica's token for the audience backendtls-ledger")
	flags.DurationVar(&c.TrustFirst, "xds-ca-trust-first", authority.TrustFirst,
		"how long Envoys have to learn of a new xDS CA before it signs: more than kubelet takes to renew a mounted ConfigMap")
	flags.DurationVar(&c.TrustAfter, "xds-ca-trust-after", authority.TrustAfter,
		"how long the xDS CA before is trusted once it does not sign any more")
	flags.IntVar(&c.ProbeConcurrency, "probe-concurrency", probe.DefaultConcurrency,
		"how many endpoints the live certificate checks ask at a time, one of each Service")
	flags.Float64Var(&c.ProbeRate, "probe-rate", probe.DefaultRate,
		"how many endpoints a second the live certificate checks begin to ask")
	flags.DurationVar(&c.ProbeTimeout, "probe-timeout", probe.DefaultTimeout,
		"how long an endpoint has for the handshake of a live certificate check")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log what is published and acknowledged")
	return command
}

// The shortest steps of a change of the xDS CA. Kubelet renews a mounted
// ConfigMap within one and a half times its sync period, a minute by default;
// replicas read the CA every 10 s, one after the other.
const (
	leastTrustFirst = 100 * time.Second
	leastTrustAfter = 30 * time.Second
)

func checkTrust(c *operator.Cluster) error {
	switch {
	case c.TrustFirst < leastTrustFirst:
		return fmt.Errorf("--xds-ca-trust-first %s: must be at least %s, "+
			"or Envoys that have not learned of the new CA lose the operator", c.TrustFirst, leastTrustFirst)
	case c.TrustAfter < leastTrustAfter:
		return fmt.Errorf("--xds-ca-trust-after %s: must be at least %s, "+
			"or Envoys turn away from a replica that has yet to learn that it does not sign", c.TrustAfter, leastTrustAfter)
	}
	return nil
}

// checkProbe holds the flags of the live checks to what makes sense: a backend
// that is asked as fast as can be has no time for anything else.
func checkProbe(c *operator.Cluster) error {
	switch {
	case c.ProbeConcurrency < 1 || c.ProbeConcurrency > probe.MostConcurrency:
		return fmt.Errorf("--probe-concurrency %d: must be from 1 to %d", c.ProbeConcurrency, probe.MostConcurrency)
	case !(c.ProbeRate >= probe.LeastRate && c.ProbeRate <= probe.MostRate):
		return fmt.Errorf("--probe-rate %g: must be from %g to %g a second", c.ProbeRate, probe.LeastRate, probe.MostRate)
	case c.ProbeTimeout < probe.LeastTimeout || c.ProbeTimeout > probe.MostTimeout:
		return fmt.Errorf("--probe-timeout %s: must be from %s to %s", c.ProbeTimeout, probe.LeastTimeout, probe.MostTimeout)
	}
	return nil
}

// completeCluster checks what the pod was given; its errors say where it comes
// from.
func completeCluster(c *operator.Cluster, kubeconfig string) error {
	var missing []string
	for name, value := range map[string]string{
		"POD_NAME": c.PodName, "POD_NAMESPACE": c.Namespace, "POD_IP": c.PodIP,
	} {
		if value == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s: not in the environment: the Deployment in manifests/ sets it by the downward API; "+
			"outside of a cluster use `standalone --dir DIR`", strings.Join(missing, ", "))
	}
	if net.ParseIP(c.PodIP) == nil {
		return fmt.Errorf("POD_IP %q: must be an IP address", c.PodIP)
	}
	config, err := restConfig(kubeconfig)
	if err != nil {
		if kubeconfig == "" {
			return errors.New("this is no pod with a ServiceAccount token: name the cluster by --kubeconfig FILE, " +
				"or use `standalone --dir DIR`")
		}
		return fmt.Errorf("--kubeconfig %s: %w", kubeconfig, err)
	}
	config.UserAgent = "backendtls-operator/" + version
	c.REST = config
	return nil
}

// restConfig is the kubeconfig's, else the pod's own.
func restConfig(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}
