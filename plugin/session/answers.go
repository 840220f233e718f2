package session

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// answers are what the endpoints of the ports of a subject served.
type answers struct {
	Asked

	live []edit.Live
}

// fetch asks every endpoint of the ports. All of them must answer: what is not
// seen would not be trusted, and a pod that was only slow would be refused from
// then on.
func (d *Drafter) fetch(ctx context.Context, ports []collect.Port, serverName string) (*answers, error) {
	asked, err := d.Ask(ctx, ports, serverName)
	if err != nil {
		return nil, err
	}
	a := &answers{Asked: asked}
	var silent []string
	count := 0
	for _, port := range a.Ports {
		if len(port.Endpoints) == 0 {
			return nil, fmt.Errorf("%s has no ready endpoint in its EndpointSlices: --address HOST:PORT names one to ask",
				service(port))
		}
		for _, endpoint := range port.Endpoints {
			count++
			seen := a.Observations[tunnel.Job{Endpoint: endpoint, SNI: a.ServerName(port)}.Question()]
			chain, err := parseChain(seen.Chain)
			switch {
			case err != nil:
				silent = append(silent, fmt.Sprintf("%s: %v", endpoint.Address, err))
			case len(chain) == 0:
				silent = append(silent, fmt.Sprintf("%s: %s", endpoint.Address, silence(seen)))
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

// silence is why an endpoint gave no certificate, in the words that inspect and
// verify have for it.
func silence(seen model.Observation) string {
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
