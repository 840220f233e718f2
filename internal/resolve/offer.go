package resolve

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// The option keys that shape the handshake.
const (
	optionMinTLS     = "min-tls-version"
	optionMaxTLS     = "max-tls-version"
	optionSuites     = "cipher-suites"
	optionCurves     = "ecdh-curves"
	optionAlgorithms = "signature-algorithms"
	optionALPN       = "alpn-protocols"
)

// tlsVersions are the values of the two options for versions.
var tlsVersions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// tlsOffer is what a policy has Envoy offer in the handshake; empty parts are
// left to Envoy.
type tlsOffer struct {
	least, most                      uint16
	suites, curves, algorithms, alpn []string
}

// read sets the option of that name; ok is false for a name of another kind.
func (o *tlsOffer) read(name, value string) (ok bool, err error) {
	switch name {
	case optionMinTLS:
		o.least, err = readTLSVersion(value)
	case optionMaxTLS:
		o.most, err = readTLSVersion(value)
	case optionSuites:
		o.suites, err = readNames("cipher suite", value, namesOf(model.CipherSuites,
			func(s model.CipherSuite) string { return s.Name }))
	case optionCurves:
		o.curves, err = readNames("curve", value, namesOf(model.Curves, func(c model.Curve) string { return c.Name }))
	case optionAlgorithms:
		o.algorithms, err = readNames("signature algorithm", value, namesOf(model.SignatureAlgorithms,
			func(a model.SignatureAlgorithm) string { return a.Name }))
	case optionALPN:
		o.alpn, err = readNames("protocol", value, []string{string(model.HTTP1), string(model.HTTP2)})
	default:
		return false, nil
	}
	return true, err
}

// contradiction says which options exclude each other, "" if none do.
func (o *tlsOffer) contradiction() string {
	if o.least != 0 && o.most != 0 && o.least > o.most {
		return fmt.Sprintf("spec.options[%q]: 1.3 is above %s%s, which is 1.2", gwapi.Prefix+optionMinTLS,
			gwapi.Prefix, optionMaxTLS)
	}
	return ""
}

// into puts the offer into a trust, as the least that the trust may have.
func (o *tlsOffer) into(trust *model.Trust) {
	// TLS 1.2 to 1.3 is what every connection has anyway, and is left out, so that
	// writing it changes nothing.
	if o.least > tls.VersionTLS12 {
		trust.MinTLSVersion = o.least
	}
	if o.most != 0 && o.most < tls.VersionTLS13 {
		trust.MaxTLSVersion = o.most
	}
	trust.Suites, trust.Curves, trust.SignatureAlgorithms = o.suites, o.curves, o.algorithms
}

func readTLSVersion(value string) (uint16, error) {
	version, known := tlsVersions[value]
	if !known {
		return 0, fmt.Errorf("%q is neither \"1.2\" nor \"1.3\"", value)
	}
	return version, nil
}

func namesOf[T any](list []T, name func(T) string) []string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = name(list[i])
	}
	return names
}

// readNames reads a list of names of one kind, in order and without repetition.
// They are compared exactly, as Envoy compares them.
func readNames(what, value string, known []string) ([]string, error) {
	items := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(items) == 0 {
		return nil, fmt.Errorf("names no %s; remove the key to leave the choice to Envoy", what)
	}
	var names []string
	for _, item := range items {
		switch {
		case !slices.Contains(known, item):
			return nil, fmt.Errorf("%q is not a %s that is served; those are %s", item, what, strings.Join(known, ", "))
		case slices.Contains(names, item):
			return nil, fmt.Errorf("%q is given twice", item)
		}
		names = append(names, item)
	}
	return names, nil
}

// floorFault says why the policy's highest version cannot be spoken where a
// Gateway has a floor, "" if it can.
func (o *tlsOffer) floorFault(gateway gwapi.Key, floor uint16, where string) string {
	if o.most == 0 || floor <= o.most {
		return ""
	}
	return fmt.Sprintf("spec.options[%q]: TLS 1.2 is below the floor of %s, whose GatewayParameters (%s) have "+
		"spec.backendTLS.minTLSVersion 1.3", gwapi.Prefix+optionMaxTLS, gateway, where)
}

// protocolFault says why a port cannot be offered the protocols: only the one
// that its cluster speaks can be, "" if it can.
func (o *tlsOffer) protocolFault(port string, spoken model.BackendProtocol) string {
	for _, offered := range o.alpn {
		if offered != string(spoken) && spoken != model.TCP {
			return fmt.Sprintf("spec.options[%q]: %q cannot be offered to %s, which is spoken to in %s, as its appProtocol or "+
				"its route says; write %s, or remove the key, and every route offers what it speaks",
				gwapi.Prefix+optionALPN, strings.Join(o.alpn, ", "), port, spoken, spoken)
		}
	}
	return ""
}
