package verify

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/backendtls/backendtls/internal/model"
)

// Observed is Verify of what a probe saw. It also judges what the chain does not
// show: whether the endpoint is there and speaks TLS, and a version of it that
// Envoy speaks.
func Observed(seen model.Observation, trust *model.Trust, now time.Time) []Check {
	if len(seen.Chain) == 0 && seen.Fault != "" {
		return append([]Check{faulty(seen)}, unchecked(trust, "the endpoint presented no certificate")...)
	}
	checks := Verify(seen.Chain, trust, now)
	if checks[0].Outcome == Pass {
		checks[0] = checkConnection(seen, trust, checks[0])
	}
	return checks
}

// faulty is the handshake check of an endpoint that got nowhere.
func faulty(seen model.Observation) Check {
	detail := ""
	if seen.Err != "" {
		detail = ": " + quoteName(seen.Err)
	}
	switch seen.Fault {
	case model.FaultPlaintext:
		return failed(KindHandshake, NotTLS, "the endpoint answers something that is not TLS%s", detail)
	case model.FaultStartTLS:
		return failed(KindHandshake, NotTLS, "the endpoint greets in plaintext before any TLS%s", detail)
	case model.FaultTimeout:
		return failed(KindHandshake, Unreachable, "the endpoint accepts connections and stays silent%s", detail)
	case model.FaultUnreachable:
		return failed(KindHandshake, Unreachable, "the endpoint cannot be reached%s", detail)
	case model.FaultUnsupported:
		return failed(KindHandshake, Unreachable, "the endpoint cannot be asked from here%s", detail)
	case model.FaultUnparsable:
		return failed(KindHandshake, CertificateMismatch, "the endpoint's certificate cannot be parsed%s", detail)
	case model.FaultHandshake:
		return failed(KindHandshake, Unreachable, "the TLS handshake failed%s", detail)
	default:
		return failed(KindHandshake, Unreachable, "the probe failed with %q%s", seen.Fault, detail)
	}
}

// checkConnection adds to a handshake check that the certificate passed what the
// probe saw of the connection.
func checkConnection(seen model.Observation, trust *model.Trust, check Check) Check {
	switch {
	case seen.Fault != "" && seen.ClientCertificate && trust.Identity != nil:
		return notChecked(KindHandshake, "unknown whether the endpoint accepts the client certificate of %s, which Envoy "+
			"presents and this probe does not", trust.Identity.Secret)
	case seen.Fault != "" && seen.ClientCertificate:
		return failed(KindHandshake, Unreachable,
			"the endpoint asks for a client certificate and refuses the handshake without one: %s", quoteName(seen.Err))
	case seen.Fault != "":
		return faulty(seen)
	case seen.TLSVersion == 0:
		return check
	default:
		return checkVersion(seen, offerOf(trust), check)
	}
}

// checkVersion holds what the endpoint chose against what Envoy offers.
func checkVersion(seen model.Observation, offered offer, check Check) Check {
	version := fmt.Sprintf("TLS 1.%d", int(seen.TLSVersion)-0x0301)
	switch {
	case seen.TLSVersion < versionTLS12:
		return failed(KindHandshake, Unreachable, "the endpoint speaks %s at most, Envoy TLS 1.2 at least", version)
	case seen.TLSVersion < offered.least:
		return failed(KindHandshake, Unreachable,
			"the endpoint speaks %s at most, the policy or Gateway asks for TLS 1.%d at least",
			version, int(offered.least)-0x0301)
	case seen.TLSVersion > offered.most:
		return notChecked(KindHandshake, "unknown whether the endpoint also speaks TLS 1.%d, which is the most that the "+
			"policy allows: it chose %s", int(offered.most)-0x0301, version)
	}
	if leaf, err := x509.ParseCertificate(seen.Chain[0]); err == nil {
		if fault := offered.fault(leaf, seen.TLSVersion); fault != "" {
			return failed(KindHandshake, CertificateMismatch,
				"the endpoint speaks %s, over which Envoy refuses its key %s: %s", version, describeKey(leaf), fault)
		}
	}
	switch {
	case seen.TLSVersion == versionTLS12 && !offered.has(seen.CipherSuite):
		return notChecked(KindHandshake, "unknown whether Envoy and the endpoint share a cipher suite: "+
			"the endpoint chose 0x%04x over %s, which Envoy does not offer", seen.CipherSuite, version)
	case seen.ClientCertificate:
		return passed(KindHandshake, "%s, over %s; the endpoint asks for a client certificate", check.Message, version)
	default:
		return passed(KindHandshake, "%s, over %s", check.Message, version)
	}
}
