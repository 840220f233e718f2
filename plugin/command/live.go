package command

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// answers are what the endpoints of the ports of a subject served.
type answers struct {
	// ports have the endpoints that were asked.
	ports        []collect.Port
	serverName   func(collect.Port) string
	via          string
	observations tunnel.Observations
	live         []edit.Live
}

// fetch asks every endpoint of the ports. All of them must answer: what is not
// seen would not be trusted, and a pod that was only slow would be refused from
// then on.
func (o *Options) fetch(ctx context.Context, f *ProbeFlags, ports []collect.Port) (*answers, error) {
	asked := *f
	a := &answers{serverName: asked.ServerName}
	if len(f.Addresses) > 0 && len(ports) > 1 {
		return nil, fmt.Errorf("--address replaces the endpoints of one port, but btlspolicy/%s decides about %d: "+
			"give each a policy of its own, with sectionName", ports[0].Policy.Name, len(ports))
	}
	var err error
	if a.ports, err = o.Redirect(ctx, f, ports); err != nil {
		return nil, err
	}
	a.via = f.Via
	if a.observations, err = o.Observe(ctx, f, a.ports); err != nil {
		return nil, err
	}
	var silent []string
	count := 0
	for _, port := range a.ports {
		if len(port.Endpoints) == 0 {
			return nil, fmt.Errorf("%s has no ready endpoint in its EndpointSlices: --address HOST:PORT names one to ask",
				service(port))
		}
		for _, endpoint := range port.Endpoints {
			count++
			seen := a.observations[tunnel.Job{Endpoint: endpoint, SNI: a.serverName(port)}.Question()]
			chain, err := parseChain(seen.Chain)
			switch {
			case err != nil:
				silent = append(silent, fmt.Sprintf("%s: %v", endpoint.Address, err))
			case len(chain) == 0:
				silent = append(silent, fmt.Sprintf("%s: %s", endpoint.Address, reason(seen)))
			default:
				a.live = append(a.live, edit.Live{Endpoint: endpoint.Address.String(), Chain: chain})
			}
		}
	}
	if len(silent) > 0 {
		return nil, fmt.Errorf("%d of %s gave no certificate and would be refused from now on: repair that first (%s)",
			len(silent), endpoints(count), strings.Join(silent, "; "))
	}
	return a, nil
}

// reason is why an endpoint gave no certificate, in the words that inspect and
// verify have for it.
func reason(seen model.Observation) string {
	checks := verify.Observed(seen, nil, seen.At)
	if i := slices.IndexFunc(checks, func(c verify.Check) bool { return c.Outcome == verify.Fail }); i >= 0 {
		return checks[i].Message
	}
	return "it presented none"
}

func parseChain(presented [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(presented))
	for i, der := range presented {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of its chain cannot be read: %w", i, err)
		}
		chain[i] = certificate
	}
	return chain, nil
}

// readNext reads the files of --and-next.
func readNext(paths []string) ([]edit.Next, error) {
	var next []edit.Next
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--and-next: %w", err)
		}
		key, err := pin.OfPEM(pin.SPKI, content)
		if err != nil {
			return nil, fmt.Errorf("--and-next %s: %w", path, err)
		}
		next = append(next, edit.Next{Key: key, Certificate: certificateOf(content)})
	}
	return next, nil
}

// certificateOf is the certificate in a PEM file, nil where it holds a key or
// a request.
func certificateOf(content []byte) *x509.Certificate {
	block, _ := pem.Decode(content)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return certificate
}

// endpoints counts them in words.
func endpoints(n int) string {
	if n == 1 {
		return "1 endpoint"
	}
	return fmt.Sprintf("%d endpoints", n)
}
