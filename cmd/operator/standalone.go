package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/operator"
)

const standaloneHelp = `Run Gateways from a directory of manifests, without Kubernetes.

The operator reads every .yaml, .yml and .json file below DIR, watches them, and
runs an Envoy for each Gateway whose GatewayClass has the controllerName
backendtls.dev/gateway-controller. Each Gateway has a loopback address of its
own (spec.addresses, or one derived from its name); ports below 1024 move up by
10000. Status files appear in DIR/.backendtls/status, Envoy's access log and the
operator's log, both JSON lines, on standard output and standard error.

Edit a file and Envoy follows. A file that is half-written or broken keeps its
last good state, and the log says which file and line. Envoys end with the
operator, even if it is killed.`

// levels are Envoy's.
var levels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

func standalone() *cobra.Command {
	var s operator.Standalone
	var addresses []string
	var verbose bool
	command := &cobra.Command{
		Use:   "standalone --dir DIR",
		Short: "Run Gateways from a directory of manifests, without Kubernetes",
		Long:  standaloneHelp,
		Example: `  backendtls-operator standalone --dir ./manifests
  backendtls-operator standalone --dir /etc/gateway --state /var/lib/gateway --allow-address 192.0.2.0/24`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%q is no flag: the directory of manifests is named by --dir %[1]s", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := completeStandalone(&s, addresses); err != nil {
				return err
			}
			level := slog.LevelInfo
			if verbose {
				level = slog.LevelDebug
			}
			s.AccessLog = cmd.OutOrStdout()
			s.Log = slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
			return s.Run(cmd.Context())
		},
	}
	flags := command.Flags()
	flags.StringVar(&s.Dir, "dir", "", "directory of manifests (required)")
	flags.StringVar(&s.State, "state", "", "directory for status (default DIR/.backendtls); use it where DIR is read-only")
	flags.StringVar(&s.Envoy, "envoy", "envoy", "path of the Envoy binary, or its name on PATH")
	flags.StringVar(&s.EnvoyLogLevel, "envoy-log-level", "warning", "Envoy's log level: "+strings.Join(levels, ", "))
	flags.StringSliceVar(&addresses, "allow-address", nil,
		"CIDR whose addresses Gateways may ask for in spec.addresses, besides 127.0.0.0/8 (repeatable)")
	flags.BoolVarP(&verbose, "verbose", "v", false, "log what is published and acknowledged")
	return command
}

// completeStandalone checks the flags; its errors say what to type instead.
func completeStandalone(s *operator.Standalone, addresses []string) error {
	if s.Dir == "" {
		return errors.New("--dir is missing: name the directory of manifests, such as --dir ./manifests")
	}
	if !slices.Contains(levels, s.EnvoyLogLevel) {
		return fmt.Errorf("--envoy-log-level %q: must be one of %s", s.EnvoyLogLevel, strings.Join(levels, ", "))
	}
	for _, address := range addresses {
		prefix, err := netip.ParsePrefix(address)
		if err != nil {
			return fmt.Errorf("--allow-address %q: must be a CIDR such as 192.0.2.0/24", address)
		}
		s.AllowAddresses = append(s.AllowAddresses, prefix)
	}
	return nil
}
