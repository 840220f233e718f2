package view

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// CertificateList prints a table of live certificates, a line for an endpoint.
func CertificateList(
	w io.Writer, items []cliv1alpha1.EndpointCertificate, now time.Time, wide, withNamespace bool,
) error {
	columns := []column{
		{name: "Service"},
		{name: "Address"},
		{name: "Pod"},
		{name: "Subject"},
		{name: "Expires"},
		{name: "Key"},
		{name: "TLS"},
		{name: "Pin"},
		{name: "SANs", wide: true},
		{name: "Issuer", wide: true},
		{name: "Not-Before", wide: true},
		{name: "Not-After", wide: true},
		{name: "Certificate", wide: true},
		{name: "SNI", wide: true},
		{name: "Fault", wide: true},
	}
	rows := make([]row, len(items))
	for i, item := range items {
		cells := []any{service(item.Service), item.Address, orNone(item.Pod)}
		if len(item.Chain) == 0 {
			cells = append(cells, instead(item), none, none, orNone(item.TLSVersion), none, none, none, none, none, none)
		} else {
			leaf := item.Chain[0]
			cells = append(cells, orNone(leaf.Subject), expiry(leaf.NotAfter.Time, now), leaf.Key, tlsCell(item),
				leaf.SPKISHA256, orNone(some(leaf.SANs, ",")), orNone(leaf.Issuer),
				leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), leaf.CertSHA256)
		}
		rows[i] = row{namespace: item.Service.Namespace, cells: append(cells, orNone(item.SNI), orNone(item.Error))}
	}
	return printList(w, columns, rows, wide, withNamespace)
}

// instead is what an endpoint is that gave no certificate, in few words.
func instead(item cliv1alpha1.EndpointCertificate) string {
	switch model.Fault(item.Fault) {
	case model.FaultUnreachable:
		if item.Connected {
			return "<hangs up>"
		}
		return "<unreachable>"
	case model.FaultTimeout:
		return "<silent>"
	case model.FaultPlaintext:
		return "<" + cmp.Or(item.Protocol, "something") + " without TLS>"
	case model.FaultStartTLS:
		return "<" + cmp.Or(item.Protocol, "something") + " before TLS>"
	case model.FaultUnparsable:
		return "<unparsable certificate>"
	case model.FaultForbidden:
		return "<forbidden>"
	case model.FaultUnsupported:
		return "<no pod>"
	default:
		return "<no handshake>"
	}
}

// tlsCell is the version that was negotiated, and what is special about it.
func tlsCell(item cliv1alpha1.EndpointCertificate) string {
	cell := orNone(item.TLSVersion)
	switch {
	case item.ClientCertificate && item.Fault != "":
		cell += ", wants client certificate"
	case item.Fault != "":
		cell += ", fails"
	case item.ClientCertificate:
		cell += ", asks for client certificate"
	}
	return cell
}

// PEMs prints every distinct chain as PEM, each certificate with its subject
// and where it was seen in front.
func PEMs(w io.Writer, items []cliv1alpha1.EndpointCertificate) error {
	p := &page{}
	seen := map[string]bool{}
	for _, item := range items {
		for i, cert := range item.Chain {
			if seen[cert.CertSHA256] {
				continue
			}
			seen[cert.CertSHA256] = true
			p.line(fmt.Sprintf("# %s certificate %d of %s: %s", service(item.Service), i, item.Address, cert.Subject))
			p.block(0, cert.PEM)
		}
	}
	return p.printTo(w)
}

// Fetched prints the live chains of one port, replicas grouped by key.
type Fetched struct {
	Style Style
	Now   time.Time
}

// Print prints the items, which all belong to the same port.
func (f Fetched) Print(w io.Writer, items []cliv1alpha1.EndpointCertificate) error {
	if len(items) == 0 {
		return nil
	}
	p := f.Style.page()
	p.line(f.Style.bold(heading(items[0].Service)))
	p.wrapped("  ", 2, fmt.Sprintf("%s asked %s with server name %s",
		plural(len(items), "endpoint"), via(items[0].Via), orNone(items[0].SNI)))
	for start := 0; start < len(items); {
		end := start + 1
		for end < len(items) && assess.LeafKey(items[end]) == assess.LeafKey(items[start]) {
			end++
		}
		f.group(p, items[start:end])
		start = end
	}
	return p.printTo(w)
}

func via(way string) string {
	if way == "direct" {
		return "directly"
	}
	return "via " + way
}

// group prints the endpoints that serve one key, or those without an answer.
func (f Fetched) group(p *page, items []cliv1alpha1.EndpointCertificate) {
	p.blank()
	key := assess.LeafKey(items[0])
	if key == "" {
		p.line(f.Style.bad("NO CERTIFICATE"), " from ", plural(len(items), "endpoint"))
		for _, item := range items {
			table := [][]string{{member(item.Address, item.Pod) + ":", strings.Trim(instead(item), "<>") + ", " + item.Error}}
			if item.Advice != "" {
				table = append(table, []string{"  Next step:", item.Advice})
			}
			p.rows(2, table)
		}
		return
	}
	p.line(f.Style.bold("KEY"), " ", key, ", ", plural(len(items), "endpoint"))
	for start := 0; start < len(items); {
		end := start + 1
		for end < len(items) && sameChain(items[start], items[end]) {
			end++
		}
		f.chain(p, items[start:end])
		start = end
	}
}

func sameChain(a, b cliv1alpha1.EndpointCertificate) bool {
	if len(a.Chain) != len(b.Chain) {
		return false
	}
	for i := range a.Chain {
		if a.Chain[i].CertSHA256 != b.Chain[i].CertSHA256 {
			return false
		}
	}
	return true
}

// chain prints the endpoints that present one chain, and the chain.
func (f Fetched) chain(p *page, items []cliv1alpha1.EndpointCertificate) {
	for _, item := range items {
		text := "TLS " + orNone(item.TLSVersion)
		if item.ALPN != "" {
			text += ", " + item.ALPN
		}
		if item.ClientCertificate {
			text += ", " + clientCertificate(item)
		}
		if item.Error != "" {
			text += ", the handshake fails: " + item.Error
		}
		table := [][]string{{member(item.Address, item.Pod), text}}
		if item.Advice != "" {
			table = append(table, []string{"  Next step:", item.Advice})
		}
		p.rows(2, table)
	}
	for i, cert := range items[0].Chain {
		if i == most {
			p.line(fmt.Sprintf("    and %s: -o yaml has them", plural(len(items[0].Chain)-most, "more certificate")))
			break
		}
		p.rows(4, append([][]string{{fmt.Sprintf("Certificate %d:", i), orNone(cert.Subject)}}, f.certificate(cert)...))
	}
}

// clientCertificate says what kind of client certificate an endpoint wants.
func clientCertificate(item cliv1alpha1.EndpointCertificate) string {
	text := "asks for a client certificate"
	if item.Fault != "" {
		text = "takes nobody without a client certificate"
	}
	if len(item.ClientAuthorities) > 0 {
		text += " of " + some(item.ClientAuthorities, " or ")
	}
	return text
}

func (f Fetched) certificate(cert cliv1alpha1.Certificate) [][]string {
	issuer := orNone(cert.Issuer)
	if cert.SelfSigned {
		issuer += " (self-signed)"
	}
	return [][]string{
		{"  Names:", orNone(some(cert.SANs, ", "))},
		{"  Issuer:", issuer},
		{"  Valid:", cert.NotBefore.UTC().Format(time.RFC3339) + " to " + cert.NotAfter.UTC().Format(time.RFC3339) +
			" (" + expiry(cert.NotAfter.Time, f.Now) + ")"},
		{"  Key:", cert.Key + ", " + cert.SPKISHA256},
		{"  Fingerprint:", cert.CertSHA256},
	}
}
