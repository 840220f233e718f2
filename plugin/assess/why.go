package assess

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
)

// why says in one plain clause why an endpoint fails, naming what the policy
// asks for in the policy's own words.
func (a *Assessor) why(
	reason verify.Reason, checks []verify.Check, certs []*x509.Certificate, port collect.Port,
	observation model.Observation,
) string {
	if len(certs) == 0 || observation.Fault == model.FaultPlaintext || observation.Fault == model.FaultStartTLS {
		return faultOr(observation, failedMessage(checks, reason))
	}
	leaf := certs[0]
	switch reason {
	case verify.UntrustedIssuer:
		return a.whyIssuer(leaf, checks, port)
	case verify.PinMismatch:
		return whyPin(leaf, port)
	case verify.CertificateExpired:
		return whyDates(certs, checks, a.World.Snapshot.Now)
	case verify.HostnameMismatch:
		return whyName(leaf, port, failedMessage(checks, reason))
	default:
		return failedMessage(checks, reason)
	}
}

func (a *Assessor) whyIssuer(leaf *x509.Certificate, checks []verify.Check, port collect.Port) string {
	if !chainFails(checks) {
		return failedMessage(checks, verify.UntrustedIssuer)
	}
	trusted := "a trusted certificate"
	if port.Policy != nil {
		if list := authorities(port.Policy); len(list) > 0 {
			trusted = strings.ReplaceAll(strings.Join(list, " or "), "System", "the system's roots")
		}
	}
	if SelfSigned(leaf) {
		return fmt.Sprintf("the certificate is self-signed: no chain to %s", trusted)
	}
	return fmt.Sprintf("the certificate is issued by %s: no chain to %s", quoted(leaf.Issuer.String()), trusted)
}

func chainFails(checks []verify.Check) bool {
	for _, check := range checks {
		if check.Kind == verify.KindChain && check.Outcome == verify.Fail {
			return true
		}
	}
	return false
}

// whyPin names what is served, and what is pinned where that is one.
func whyPin(leaf *x509.Certificate, port collect.Port) string {
	key := pin.OfKey(leaf)
	if port.Policy == nil {
		return fmt.Sprintf("the endpoint serves the key %s, which is not pinned", key)
	}
	pinned := words(option(port.Policy, "pins"))
	if len(pinned) != 1 {
		return fmt.Sprintf("the endpoint serves the key %s, which is none of the %d pinned", key, len(pinned))
	}
	wanted, err := pin.Parse(pinned[0])
	served := key
	if err == nil && wanted.Kind == pin.Certificate {
		served = pin.OfCertificate(leaf)
	}
	return fmt.Sprintf("the endpoint serves %s, pinned is %s", served, pinned[0])
}

// whyName compares the names of the certificate with the policy's.
func whyName(leaf *x509.Certificate, port collect.Port, otherwise string) string {
	if port.Policy == nil {
		return otherwise
	}
	wanted := []string{string(port.Policy.Spec.Validation.Hostname)}
	if alternatives := port.Policy.Spec.Validation.SubjectAltNames; len(alternatives) > 0 {
		wanted = nil
		for _, name := range alternatives {
			wanted = append(wanted, cmp.Or(string(name.Hostname), string(name.URI)))
		}
	}
	carried := names(leaf)
	if len(carried) == 0 {
		return fmt.Sprintf("the certificate carries no name at all, the policy wants %s", strings.Join(wanted, " or "))
	}
	const shown = 4
	more := ""
	if len(carried) > shown {
		carried, more = carried[:shown], fmt.Sprintf(" and %d more", len(carried)-shown)
	}
	return fmt.Sprintf("the certificate is for %s%s, the policy wants %s",
		strings.Join(carried, ", "), more, strings.Join(wanted, " or "))
}

func whyDates(certs []*x509.Certificate, checks []verify.Check, now time.Time) string {
	leaf := certs[0]
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Sprintf("the certificate expired %s ago, on %s",
			duration.HumanDuration(now.Sub(leaf.NotAfter)), leaf.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Sprintf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339))
	default:
		return failedMessage(checks, verify.CertificateExpired)
	}
}

// failedMessage is the message of the check that failed for the reason.
func failedMessage(checks []verify.Check, reason verify.Reason) string {
	for _, check := range checks {
		if check.Outcome == verify.Fail && check.Reason == reason {
			return check.Message
		}
	}
	return string(reason)
}

func faultOr(observation model.Observation, otherwise string) string {
	if message := faultMessage(observation); message != "" {
		return message
	}
	return otherwise
}

// faultMessage says what an endpoint turned out to be instead of a TLS server.
func faultMessage(observation model.Observation) string {
	switch observation.Fault {
	case model.FaultUnreachable:
		if observation.Connected {
			return observation.Err
		}
		return "the endpoint cannot be reached: " + observation.Err
	case model.FaultTimeout:
		return "the endpoint accepts the connection and takes too long: " + observation.Err
	case model.FaultPlaintext:
		return "the endpoint " + cmp.Or(spokenPlainly(observation.Protocol), "answers, but does not speak TLS") +
			": " + observation.Err
	case model.FaultStartTLS:
		return fmt.Sprintf("the endpoint speaks %s, which greets in plaintext first (STARTTLS), and Envoy does not: %s",
			observation.Protocol, observation.Err)
	case model.FaultHandshake:
		return "the TLS handshake fails: " + observation.Err
	case model.FaultUnparsable:
		return "the endpoint presents a certificate that cannot be parsed: " + observation.Err
	case model.FaultUnsupported, model.FaultForbidden:
		return observation.Err
	default:
		return ""
	}
}

// spokenPlainly says that a known protocol is spoken without TLS.
func spokenPlainly(protocol string) string {
	if protocol == "" {
		return ""
	}
	return "speaks " + protocol + " without TLS"
}
