package resolve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// listenerCertificates are what a listener's certificateRefs resolve to.
type listenerCertificates struct {
	pairs []model.KeyPair
	// reason is that of the worst fault, "" without one.
	reason gatewayv1.ListenerConditionReason
	faults []string
	// unseen are references that could not be looked at.
	unseen []string
}

// fault records a reference that does not resolve. That one is not permitted
// says more than that another one is broken.
func (c *listenerCertificates) fault(reason gatewayv1.ListenerConditionReason, fault string) {
	if c.reason == "" || reason == gatewayv1.ListenerReasonRefNotPermitted {
		c.reason = reason
	}
	c.faults = append(c.faults, fault)
}

// certificates resolves what an HTTPS listener presents to clients.
func (b *builder) certificates(l *listenerNode) (result listenerCertificates) {
	var refs []gatewayv1.SecretObjectReference
	if l.spec.TLS != nil && (l.spec.TLS.Mode == nil || *l.spec.TLS.Mode != gatewayv1.TLSModePassthrough) {
		refs = l.spec.TLS.CertificateRefs
	}
	if len(refs) == 0 && l.terminates() {
		result.fault(gatewayv1.ListenerReasonInvalidCertificateRef,
			"tls.certificateRefs: at least one kubernetes.io/tls Secret is required")
	}
	seen := map[gwapi.Key]bool{}
	for i := range refs {
		field := fmt.Sprintf("tls.certificateRefs[%d]: ", i)
		key, why, sentence := b.certificateSecret(l, &refs[i])
		if why != present {
			result.refuse(why, field+sentence)
			continue
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		read := b.keyPair(l.gateway.key, key)
		if read.why != present {
			result.refuse(read.why, field+read.sentence)
			continue
		}
		result.pairs = append(result.pairs, read.pair)
	}
	return result
}

// refuse sorts a reference that cannot be used to its kind of fault.
func (c *listenerCertificates) refuse(why absence, sentence string) {
	switch why {
	case unseen:
		c.unseen = append(c.unseen, sentence)
	case forbidden:
		c.fault(gatewayv1.ListenerReasonRefNotPermitted, sentence)
	case present, missing, faulty:
		c.fault(gatewayv1.ListenerReasonInvalidCertificateRef, sentence)
	}
}

// certificateSecret is the Secret that a reference names, if the listener may
// refer to it.
func (b *builder) certificateSecret(
	l *listenerNode, ref *gatewayv1.SecretObjectReference,
) (key gwapi.Key, why absence, sentence string) {
	if !gwapi.KindSecret.Is(ref.Group, ref.Kind, "", gwapi.KindSecret) {
		return key, faulty, fmt.Sprintf("%s is not supported, core/%s is",
			gwapi.GroupKind(ref.Group, ref.Kind, "", gwapi.KindSecret), gwapi.KindSecret)
	}
	namespace := l.gateway.key.Namespace
	if ref.Namespace != nil && *ref.Namespace != "" {
		namespace = string(*ref.Namespace)
	}
	key = gwapi.KeyOf(gwapi.KindSecret, namespace, string(ref.Name))
	if why, sentence = b.permitted(l.gateway.key, key); why == present {
		// What is in Refs is read: a Secret that the listener may not refer to is
		// not. A grant that comes later is a change by itself.
		b.ref(l.gateway.key, key)
	}
	return key, why, sentence
}

// keyPairResult is what one Secret holds for listeners.
type keyPairResult struct {
	pair     model.KeyPair
	why      absence
	sentence string
}

// keyPair reads a Secret once per Build, however many listeners name it.
func (b *builder) keyPair(gateway, key gwapi.Key) keyPairResult {
	if known, found := b.keyPairs[key]; found {
		b.ref(gateway, key)
		return known
	}
	result := keyPairResult{}
	var secret *corev1.Secret
	secret, result.why, result.sentence = find(b, gateway, key.Kind, b.snap.Secrets, key.NamespacedName())
	if result.why == present {
		pair, err := parseKeyPair(secret)
		if err != nil {
			result.why, result.sentence = faulty, fmt.Sprintf("%s %v", key, err)
		}
		pair.Secret = key
		result.pair = pair
	}
	b.keyPairs[key] = result
	return result
}

// parseKeyPair reads tls.crt and tls.key, proves that they belong together and
// that Envoy takes them, and writes them anew, so that Envoy gets what was
// checked and nothing else that stood in the Secret.
func parseKeyPair(secret *corev1.Secret) (model.KeyPair, error) {
	if secret.Type != corev1.SecretTypeTLS {
		return model.KeyPair{}, fmt.Errorf("has type %q, %s is required", secret.Type, corev1.SecretTypeTLS)
	}
	for _, key := range [...]string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[key]) == 0 {
			return model.KeyPair{}, fmt.Errorf("has no %s", key)
		}
	}
	key := privateKey(secret.Data[corev1.TLSPrivateKeyKey])
	if len(key) > mostKeyText {
		return model.KeyPair{}, fmt.Errorf("holds a private key of %d bytes of PEM, at most %d are read: RSA keys of up to "+
			"%d bits are served", len(key), mostKeyText, largestRSA)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return model.KeyPair{}, fmt.Errorf("does not hold a certificate and its key: %w", err)
	}
	var chain []byte
	for i, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return model.KeyPair{}, fmt.Errorf("holds a chain whose certificate %d does not parse: %w", i+1, err)
		}
		if err := servable(certificate); i == 0 && err != nil {
			return model.KeyPair{}, err
		}
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return model.KeyPair{Chain: chain, Key: key}, nil
}

// largestRSA is the most that crypto/tls takes of anybody, in bits. What a key
// costs to check grows with its square: one that fills a Secret would hold up the
// Build of all Gateways for minutes.
const largestRSA = 8192

// mostKeyText is the most that a private key may take as PEM, in bytes: PKCS #8
// of the largest RSA key has 6,400, and others are far shorter.
const mostKeyText = 6500

// servable refuses the keys that Envoy does not serve
// (source/common/tls/server_context_impl.cc and context_impl.cc).
func servable(leaf *x509.Certificate) error {
	const smallestRSA = 2048
	switch key := leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < smallestRSA {
			return fmt.Errorf("holds an RSA key of %d bits, at least %d are required", key.N.BitLen(), smallestRSA)
		}
		if key.N.BitLen() > largestRSA {
			return fmt.Errorf("holds an RSA key of %d bits, at most %d are served", key.N.BitLen(), largestRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			return errors.New("holds an ECDSA key on P-224; P-256, P-384 and P-521 are served")
		}
		// BoringSSL loads no ECDSA certificate that may not sign a handshake
		// (ssl/ssl_cert.cc, check_leaf_cert_and_privkey).
		if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
			return errors.New("holds an ECDSA certificate whose keyUsage lacks digitalSignature")
		}
		return nil
	default:
		return fmt.Errorf("holds a %s key; RSA and ECDSA keys are served", leaf.PublicKeyAlgorithm)
	}
}

// privateKey is the block that tls.X509KeyPair took for the key, alone.
func privateKey(text []byte) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY") {
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: block.Bytes})
		}
	}
	return nil
}
