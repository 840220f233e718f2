package matrix_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"github.com/backendtls/backendtls/test/pki"
)

// visitor is a row of the frontend's table: a client, by what it presents.
type visitor struct {
	title, meaning string
	// presented is nil where the client has no certificate.
	presented *pki.Identity
	// good: the certificate is what AllowValidOnly asks for.
	good bool
}

// present is for tls.Config: what is presented does not depend on which issuers
// the server says it knows.
func (v *visitor) present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if v.presented == nil {
		return &tls.Certificate{}, nil
	}
	return new(v.presented.TLS()), nil
}

// visitors are the rows.
func (w *workshop) visitors() []*visitor {
	client := usage(x509.ExtKeyUsageClientAuth)
	return []*visitor{
		{title: "no certificate", meaning: "the client presents none"},
		{
			title: "valid", meaning: "issued by the intermediate of the CA, which is sent along", good: true,
			presented: w.leaf(client),
		},
		{
			title: "for any use", meaning: "its extended key usage is anyExtendedKeyUsage alone",
			presented: w.leaf(usage(x509.ExtKeyUsageAny)),
		},
		{title: "expired", meaning: "two days ago", presented: w.leaf(client, w.expired)},
		{title: "not yet valid", meaning: "in two days", presented: w.leaf(client, w.early)},
		{
			title: "other CA", meaning: "issued by a CA of somebody else",
			presented: w.must(w.other.Issue(w.request("client", []func(*pki.Request){client}))),
		},
		{title: "self-signed", meaning: "by nobody else", presented: w.selfSigned("client", client)},
		{
			title: "for servers", meaning: "its extended key usage is serverAuth alone",
			presented: w.leaf(usage(x509.ExtKeyUsageServerAuth)),
		},
	}
}

// answer is what became of a request.
type answer struct {
	// refused: the client did not get past the handshake.
	refused bool
	// status is Envoy's, 0 where it reset the stream.
	status  int
	resumed bool
	got     echo
}

// echo is what the backend was sent.
type echo struct {
	Header, Trailer http.Header
}

// certificateHeaders are the headers that speak of the client's certificate, in
// whatever spelling they arrived, by a spelling that is the same for all.
func (e echo) certificateHeaders() map[string][]string {
	found := map[string][]string{}
	for _, headers := range []http.Header{e.Header, e.Trailer} {
		for name, values := range headers {
			folded := strings.Map(func(r rune) rune {
				if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
					return r
				}
				return '-'
			}, strings.ToLower(name))
			// A trailer that is announced and does not come has no values.
			if len(values) > 0 && (folded == certHeader || folded == verifiedHeader) {
				found[folded] = append(found[folded], values...)
			}
		}
	}
	return found
}

const (
	certHeader     = "x-forwarded-client-cert"
	verifiedHeader = "x-client-cert-verified"
)

// told is what the backend learned about the client.
func (a answer) told(v *visitor) (string, error) {
	headers := a.got.certificateHeaders()
	switch verified := headers[verifiedHeader]; {
	case a.refused:
		return refusedClient, nil
	case a.status != http.StatusOK:
		return "", fmt.Errorf("status %d", a.status)
	case len(verified) != 1:
		return "", fmt.Errorf("%s is %q", verifiedHeader, verified)
	default:
		return verified[0], sameCertificate(headers[certHeader], v)
	}
}

// sameCertificate holds what was forwarded against what was presented: the hash,
// the certificate and the chain, and no name out of it.
func sameCertificate(forwarded []string, v *visitor) error {
	if v.presented == nil {
		if len(forwarded) > 0 {
			return fmt.Errorf("a certificate is forwarded that nobody presented: %q", forwarded)
		}
		return nil
	}
	if len(forwarded) != 1 {
		return fmt.Errorf("%s is %q", certHeader, forwarded)
	}
	sum := sha256.Sum256(v.presented.Certificate.Raw)
	seen := map[string]string{}
	for part := range strings.SplitSeq(forwarded[0], ";") {
		name, value, _ := strings.Cut(part, "=")
		seen[name] = value
	}
	if len(seen) != 3 || seen["Hash"] != hex.EncodeToString(sum[:]) || seen["Cert"] == "" || seen["Chain"] == "" {
		return fmt.Errorf("%s has not exactly the Hash of the certificate, Cert and Chain: %q", certHeader, forwarded[0])
	}
	return nil
}
