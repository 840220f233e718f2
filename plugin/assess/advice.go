package assess

import (
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/tunnel"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// implicit are the ports on which protocols speak TLS from the first byte on, by
// the registry of IANA.
var implicit = map[string]int{
	"SMTP": 465, "IMAP": 993, "POP3": 995, "FTP": 990, "NNTP": 563, "LDAP": 636, "XMPP": 5223,
}

// advice is the next step about an endpoint that is not what Envoy needs, "" where
// there is none to name, or where the verdict says it.
func (a *Assessor) advice(port collect.Port, observation model.Observation) string {
	switch observation.Fault {
	case model.FaultStartTLS:
		return adviceStartTLS(observation.Protocol)
	case model.FaultPlaintext:
		return advicePlaintext(port)
	case model.FaultTimeout:
		return "it may wait for words of another protocol, or be overloaded: look at its log; --probe-timeout waits longer"
	case model.FaultUnreachable:
		return a.adviceUnreachable(observation)
	case model.FaultUnparsable:
		return "`openssl s_client -showcerts` may show it, if no client of yours does: issue another one"
	case model.FaultHandshake:
		return a.adviceHandshake(port, observation)
	default:
		return a.adviceName(observation)
	}
}

func adviceStartTLS(protocol string) string {
	const alone = "Envoy does not speak before TLS: let the server listen with TLS from the first byte on"
	if number := implicit[protocol]; number != 0 {
		return fmt.Sprintf("%s (%s usually does on port %d), and name that port", alone, protocol, number)
	}
	return alone + ", or lead clients to it past the Gateway, or by a TCPRoute where its implementation serves those"
}

func advicePlaintext(port collect.Port) string {
	if port.Policy == nil {
		return ""
	}
	return fmt.Sprintf("let it serve TLS there, name the port that does, or take this port out of %s",
		gwapi.KeyOf(gwapi.KindBackendTLSPolicy, port.Policy.Namespace, port.Policy.Name))
}

func (a *Assessor) adviceUnreachable(observation model.Observation) string {
	switch {
	case observation.Connected:
		return "it may expect another protocol, or a PROXY header, or not take this client: look at its log"
	case a.Local:
		return "--via direct asks the pod's address, which is where Envoy connects to"
	default:
		return "see that the server runs, and listens on the Service's targetPort; a NetworkPolicy may be in the way"
	}
}

// adviceHandshake is about an endpoint that speaks TLS and ended the handshake.
func (a *Assessor) adviceHandshake(port collect.Port, observation model.Observation) string {
	if observation.ClientCertificate {
		if port.Policy != nil && option(port.Policy, "client-certificate") != "" {
			return "Envoy presents the client certificate of " + option(port.Policy, "client-certificate") + ", this probe none"
		}
		taken := ""
		if len(observation.ClientAuthorities) > 0 {
			taken = " of " + quotedList(observation.ClientAuthorities)
		}
		return fmt.Sprintf("give Envoy a client certificate%s: Gateway spec.tls.backend.clientCertificateRef, or "+
			"backendtls.dev/client-certificate in the policy's options", taken)
	}
	if other := a.adviceName(observation); other != "" {
		return other
	}
	switch observation.Alert {
	case alertUnrecognizedName, alertInternal, alertHandshake:
		return "--sni NAME asks by another server name; Envoy sends the policy's spec.validation.hostname"
	case alertVersion:
		return "Envoy speaks TLS 1.2 and 1.3"
	default:
		return ""
	}
}

// The alerts that depend on the server name, and the one about versions (RFC
// 8446 section 6.2).
const (
	alertHandshake        = 40
	alertVersion          = 70
	alertInternal         = 80
	alertUnrecognizedName = 112
)

// adviceName says what an endpoint serves without a server name, where that was
// asked too.
func (a *Assessor) adviceName(observation model.Observation) string {
	unnamed, asked := a.Observations[tunnel.Question{Address: observation.Endpoint.Address}]
	certs := chain(unnamed.Chain)
	if !asked || observation.SNI == "" || len(certs) == 0 {
		return ""
	}
	if served := chain(observation.Chain); len(served) > 0 && served[0].Equal(certs[0]) {
		return ""
	}
	return fmt.Sprintf("without a server name it serves another certificate, %s with %s",
		subject(certs[0]), pin.OfKey(certs[0]))
}

// subject is what to call a certificate: its subject, else its first names.
func subject(cert *x509.Certificate) string {
	if text := cert.Subject.String(); text != "" {
		return text
	}
	list := names(cert)
	return strings.Join(list[:min(len(list), 2)], ", ")
}

// quotedList is up to four names for people.
func quotedList(list []string) string {
	const shown = 4
	var names []string
	for _, name := range list[:min(len(list), shown)] {
		names = append(names, quoted(name))
	}
	text := strings.Join(names, " or ")
	if len(list) > shown {
		text += fmt.Sprintf(" or %d more", len(list)-shown)
	}
	return text
}

// quoted is a distinguished name in quotes, and else as RFC 4514 writes it, which
// has escaped what it must: a quote in it is \" already.
func quoted(name string) string { return `"` + untrusted.Text(name) + `"` }
