package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
)

// defaultProbeTimeout is how long one endpoint may take to answer.
const defaultProbeTimeout = 5 * time.Second

// ProbeFlags say how endpoints are asked for their certificates.
type ProbeFlags struct {
	// Timeout bounds one endpoint.
	Timeout time.Duration
	// SNI is sent instead of the policy's hostname.
	SNI string
	// Via is how endpoints are reached; "" before Redirect has chosen.
	Via string
	// Addresses are asked instead of the endpoints in EndpointSlices.
	Addresses []string
}

// AddTo adds the flags.
func (f *ProbeFlags) AddTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.DurationVar(&f.Timeout, "probe-timeout", defaultProbeTimeout, "How long one endpoint may take to answer")
	flags.StringVar(&f.SNI, "sni", "",
		"Server name to send to endpoints (default: the policy's hostname, else NAME.NAMESPACE.svc)")
	flags.StringVar(&f.Via, "via", "", "How endpoints are reached: port-forward asks their pods through the API "+
		"server (default in a cluster), direct dials their addresses from here (implied by -f and --address)")
	flags.StringArrayVar(&f.Addresses, "address", nil,
		"HOST:PORT to ask instead of the endpoints in EndpointSlices; may be repeated")
}

// Validate checks the flags without asking anybody.
func (f *ProbeFlags) Validate() error {
	if f.Timeout <= 0 {
		return fmt.Errorf("--probe-timeout is %s: want more than 0, such as 5s", f.Timeout)
	}
	if f.Via != "" && f.Via != session.ViaDirect && f.Via != session.ViaPortForward {
		return fmt.Errorf("--via is %q: want %s or %s", f.Via, session.ViaPortForward, session.ViaDirect)
	}
	if f.Via == session.ViaPortForward && len(f.Addresses) > 0 {
		return errors.New("--via port-forward and --address contradict each other: no pod is known behind an address")
	}
	if len(f.SNI) > 255 {
		return fmt.Errorf("--sni has %d characters: a server name has at most 255", len(f.SNI))
	}
	if _, err := netip.ParseAddr(f.SNI); err == nil {
		return fmt.Errorf("--sni is the IP address %s: want a DNS name (RFC 6066 section 3)", f.SNI)
	}
	for _, address := range f.Addresses {
		host, port, err := net.SplitHostPort(address)
		number, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil || host == "" || number == 0 {
			return fmt.Errorf("--address %q: want HOST:PORT, such as 127.0.0.1:8443 or [::1]:8443", address)
		}
	}
	return nil
}

// ServerName is what is sent to the endpoints of a port.
func (f *ProbeFlags) ServerName(port collect.Port) string {
	if f.SNI != "" {
		return f.SNI
	}
	return session.ServerName(port)
}

// Redirect replaces the endpoints of the one port by --address, if given, and
// chooses the way to the endpoints.
func (o *Options) Redirect(ctx context.Context, f *ProbeFlags, ports []collect.Port) ([]collect.Port, error) {
	offline := o.Filename != ""
	switch {
	case offline && f.Via == session.ViaPortForward:
		return nil, errors.New("--via port-forward and -f contradict each other: files name no cluster to forward through")
	case f.Via != "":
	case offline || len(f.Addresses) > 0:
		f.Via = session.ViaDirect
	default:
		f.Via = session.ViaPortForward
	}
	if len(f.Addresses) == 0 {
		return ports, nil
	}
	if len(ports) != 1 {
		return nil, fmt.Errorf("--address replaces the endpoints of one port, but %d are meant: name one TARGET",
			len(ports))
	}
	port := ports[0]
	port.Endpoints = nil
	for _, address := range f.Addresses {
		host, number, err := net.SplitHostPort(address)
		if err != nil {
			return nil, fmt.Errorf("--address %q: %w", address, err)
		}
		found, err := o.Lookup(ctx, "ip", host)
		if err != nil {
			return nil, fmt.Errorf("--address %q: %w", address, err)
		}
		parsed, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return nil, fmt.Errorf("--address %q: %w", address, err)
		}
		for _, ip := range found {
			port.Endpoints = append(port.Endpoints, model.Endpoint{
				Address: netip.AddrPortFrom(ip.Unmap(), uint16(parsed)), Ready: true,
			})
		}
	}
	return []collect.Port{port}, nil
}
