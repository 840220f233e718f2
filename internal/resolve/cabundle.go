package resolve

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
)

// maxBundle is the most that one bundle may hold: what a ConfigMap or Secret
// can hold in a cluster. Files have no such bound of their own.
const maxBundle = 1 << 20

// The one bundle that wellKnownCACertificates System means.
const (
	systemNamespace = "backendtls-system"
	systemName      = "system-roots"
)

func systemRootsKey() gwapi.Key { return gwapi.KeyOf(gwapi.KindConfigMap, systemNamespace, systemName) }

// bundle is the certificates under one key of one object.
type bundle struct {
	certificates []*x509.Certificate
	anchors      anchorSet
	// digest identifies the bundle in messages.
	digest string
	// why and fault say why there are none.
	why   absence
	fault string
}

// bundleKey names a bundle.
type bundleKey struct {
	object gwapi.Key
	key    string
}

// bundles reads each bundle of a snapshot once, however many policies and
// Gateways name it, and remembers what else takes long and is the same for all of
// them.
type bundles struct {
	b    *builder
	read map[bundleKey]bundle
	crls map[bundleKey]crlBundle
	// shadowed is how many of a set of trusted certificates are, by its digest.
	shadowed map[string]int
	// signed is what became of checking who signed a list.
	signed map[signature]error
}

func newBundles(b *builder) *bundles {
	return &bundles{
		b: b, read: map[bundleKey]bundle{}, crls: map[bundleKey]crlBundle{},
		shadowed: map[string]int{}, signed: map[signature]error{},
	}
}

// shadowedAmong counts the trusted certificates that Envoy refuses, see
// verify.Shadowed.
func (s *bundles) shadowedAmong(trust *model.Trust) int {
	known, found := s.shadowed[trust.AnchorsDigest]
	if !found {
		known = len(verify.Shadowed(trust.Anchors))
		s.shadowed[trust.AnchorsDigest] = known
	}
	return known
}

// signature is that of a list, held against the key of an authority.
type signature struct {
	list      *x509.RevocationList
	authority *x509.Certificate
}

// check verifies a signature.
func (s *bundles) check(one signature) error {
	known, found := s.signed[one]
	if !found {
		known = one.list.CheckSignatureFrom(one.authority)
		s.signed[one] = known
	}
	return known
}

// get reads the certificates under a key of a ConfigMap or Secret.
func (s *bundles) get(gateway, object gwapi.Key, key string) bundle {
	s.b.ref(gateway, object)
	id := bundleKey{object: object, key: key}
	if known, found := s.read[id]; found {
		return known
	}
	found := s.load(gateway, object, key)
	s.read[id] = found
	return found
}

func (s *bundles) load(gateway, object gwapi.Key, key string) bundle {
	text, why, sentence := s.text(gateway, object, key)
	if why != present {
		return bundle{why: why, fault: sentence}
	}
	if known := systemRoots.Load(); known != nil && bytes.Equal(known.text, text) {
		return known.bundle
	}
	certificates, err := parseCertificates(text)
	if err != nil {
		return bundle{why: faulty, fault: fmt.Sprintf("%s: %v", place(object, key), err)}
	}
	found := bundle{
		certificates: certificates,
		anchors:      newAnchorSet(certificates),
		digest:       digestText(text),
	}
	if object == systemRootsKey() {
		systemRoots.Store(&readText{text: text, bundle: found})
	}
	return found
}

// systemRoots is what was read last of the system roots. Every Build would read
// the same hundred and more certificates, which took most of its time where a
// policy has them. It changes no answer: what a text holds follows from the text.
var systemRoots atomic.Pointer[readText]

// readText is a text and what it holds; both are read only.
type readText struct {
	text   []byte
	bundle bundle
}

func digestText(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// crlBundle is the revocation lists under one key of one object, as bundle is of
// certificates.
type crlBundle struct {
	lists  []*x509.RevocationList
	digest string
	why    absence
	fault  string
}

// getCRLs reads the revocation lists under a key of a ConfigMap or Secret.
func (s *bundles) getCRLs(gateway, object gwapi.Key, key string) crlBundle {
	s.b.ref(gateway, object)
	id := bundleKey{object: object, key: key}
	if known, found := s.crls[id]; found {
		return known
	}
	text, why, sentence := s.text(gateway, object, key)
	found := crlBundle{why: why, fault: sentence}
	if why == present {
		var err error
		found.digest = digestText(text)
		if found.lists, err = parseCRLs(text); err != nil {
			found.why, found.fault = faulty, fmt.Sprintf("%s key %q: %v", object, key, err)
		}
	}
	s.crls[id] = found
	return found
}

// text is what the object holds under a key.
func (s *bundles) text(gateway, object gwapi.Key, key string) (text []byte, why absence, sentence string) {
	data, why, sentence := s.data(gateway, object)
	if why != present {
		return nil, why, sentence
	}
	text, found := data[key]
	if !found {
		return nil, faulty, fmt.Sprintf("%s has no key %q, it has %s", object, key, listKeys(data))
	}
	return text, present, ""
}

// data is what the object holds by key.
func (s *bundles) data(gateway, object gwapi.Key) (data map[string][]byte, why absence, sentence string) {
	name := types.NamespacedName{Namespace: object.Namespace, Name: object.Name}
	if object.Kind == gwapi.KindClusterTrustBundle {
		return s.trustBundle(gateway, name)
	}
	if object.Kind == gwapi.KindSecret {
		secret, why, sentence := find(s.b, gateway, object.Kind, s.b.snap.Secrets, name)
		if why != present {
			return nil, why, sentence
		}
		return secret.Data, present, ""
	}
	configMap, why, sentence := find(s.b, gateway, object.Kind, s.b.snap.ConfigMaps, name)
	if why != present {
		return nil, why, sentence
	}
	data = maps.Clone(configMap.BinaryData)
	if data == nil {
		data = make(map[string][]byte, len(configMap.Data))
	}
	for key, text := range configMap.Data {
		data[key] = []byte(text)
	}
	return data, present, ""
}

func listKeys(data map[string][]byte) string {
	const most = 8
	keys := slices.Sorted(maps.Keys(data))
	switch {
	case len(keys) == 0:
		return "none"
	case len(keys) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(keys[:most], ", "), len(keys)-most)
	default:
		return strings.Join(keys, ", ")
	}
}

// pemStart opens a PEM block (RFC 7468 section 2).
var pemStart = []byte("-----BEGIN")

// parseCertificates reads every certificate of a PEM text, without repetition
// and in order. Text between blocks is allowed, as openssl writes it; any block
// that is broken or holds something else is an error, because a bundle that is
// partly understood is not the bundle that its author meant.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	if len(text) > maxBundle {
		return nil, fmt.Errorf("%d bytes, at most %d are read", len(text), maxBundle)
	}
	starts := bytes.Count(text, pemStart)
	if starts == 0 {
		return nil, errors.New("holds no PEM certificate (-----BEGIN CERTIFICATE-----)")
	}
	var certificates []*x509.Certificate
	seen := map[[sha256.Size]byte]bool{}
	blocks := 0
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		blocks++
		certificate, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", blocks, err)
		}
		if sum := sha256.Sum256(certificate.Raw); !seen[sum] {
			seen[sum] = true
			certificates = append(certificates, certificate)
		}
	}
	// pem.Decode passes over what it cannot read.
	if blocks != starts {
		return nil, fmt.Errorf("%d of %d PEM blocks cannot be decoded", starts-blocks, starts)
	}
	return certificates, nil
}

func parseBlock(block *pem.Block) (*x509.Certificate, error) {
	if block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%q where only CERTIFICATE is expected", block.Type)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: %w", err)
	}
	return certificate, nil
}
