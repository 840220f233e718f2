package command

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// liveOf is what the endpoints of a port presented. All must have: one that
// was not seen would be refused once the others are pinned.
func liveOf(port collect.Port, sni string, observed tunnel.Observations) ([]edit.Live, error) {
	if len(port.Endpoints) == 0 {
		return nil, fmt.Errorf("svc/%s:%d has no ready endpoint in its EndpointSlices: "+
			"--address HOST:PORT asks another one", port.Service.Name, port.Spec.Port)
	}
	var live []edit.Live
	var silent []string
	for _, endpoint := range port.Endpoints {
		seen := observed[tunnel.Job{Endpoint: endpoint, SNI: sni}.Question()]
		chain, err := parseChain(seen.Chain)
		switch {
		case err != nil:
			silent = append(silent, fmt.Sprintf("%s: %v", endpoint.Address, err))
		case len(chain) == 0:
			silent = append(silent, fmt.Sprintf("%s: %s", endpoint.Address, seen.Err))
		default:
			live = append(live, edit.Live{Endpoint: endpoint.Address.String(), Chain: chain})
		}
	}
	if len(silent) > 0 {
		return nil, fmt.Errorf("%d of %d endpoints gave no certificate, and would be refused from now on: %s",
			len(silent), len(port.Endpoints), strings.Join(silent, "; "))
	}
	return live, nil
}

func parseChain(presented [][]byte) ([]*x509.Certificate, error) {
	chain := make([]*x509.Certificate, len(presented))
	for i, der := range presented {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of its chain cannot be read: %w", i+1, err)
		}
		chain[i] = certificate
	}
	return chain, nil
}

// describeLive lists the distinct certificates and who serves each.
func describeLive(form edit.Form, live []edit.Live) []string {
	serving := map[pin.Pin][]string{}
	byPin := map[pin.Pin]*x509.Certificate{}
	for _, endpoint := range live {
		id := pin.OfCertificate(endpoint.Chain[0])
		byPin[id] = endpoint.Chain[0]
		serving[id] = append(serving[id], endpoint.Endpoint)
	}
	ids := make([]pin.Pin, 0, len(byPin))
	for id := range byPin {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, pin.Compare)
	var lines []string
	for _, id := range ids {
		leaf := byPin[id]
		shown := pin.OfKey(leaf)
		if form == edit.FormCertificate || form == edit.FormLeaf {
			shown = id
		}
		lines = append(lines,
			fmt.Sprintf("%s  served by %s", shown, strings.Join(serving[id], ", ")),
			fmt.Sprintf("    %s, issued by %s, names %s, expires %s", orUnnamed(leaf.Subject.String()),
				orUnnamed(leaf.Issuer.String()), orUnnamed(listNames(leaf.DNSNames)),
				leaf.NotAfter.UTC().Format(time.DateOnly)))
	}
	return lines
}

// maxNames is how many names are shown before somebody is asked to trust them:
// thousands would push the question's text out of sight.
const maxNames = 10

func listNames(names []string) string {
	if more := len(names) - maxNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:maxNames], " "), more)
	}
	return strings.Join(names, " ")
}

// orUnnamed is a name out of a certificate, on one line: a line break in it
// would let whoever answers write lines of what is asked.
func orUnnamed(name string) string {
	if name = untrusted.Text(name); name == "" {
		return "(none)"
	}
	return name
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
