package resolve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The keys under which certificates are looked for: caCertificateRefs always
// mean ca.crt (the Gateway API says so), trusted-certificates mean tls.crt, as
// in a Secret of type kubernetes.io/tls, and crl means ca.crl, unless they name
// another key.
const (
	caKey   = "ca.crt"
	leafKey = "tls.crt"
	crlKey  = "ca.crl"
)

// certificateRef names PEM certificates or revocation lists: a key of a ConfigMap
// or Secret in the policy's namespace.
type certificateRef struct {
	kind gwapi.Kind
	name string
	key  string
}

// String is the form that options are written in.
func (r certificateRef) String() string {
	return fmt.Sprintf("%s/%s:%s", strings.ToLower(string(r.kind)), r.name, r.key)
}

// readCertificateRefs reads configmap/NAME[:KEY] and secret/NAME[:KEY],
// separated by white space or commas, in order and without repetition. Where no
// key is named, usual is meant.
func readCertificateRefs(value, usual string) ([]certificateRef, error) {
	items := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(items) == 0 {
		return nil, errors.New("names nothing, want configmap/NAME[:KEY] or secret/NAME[:KEY]")
	}
	var refs []certificateRef
	for _, item := range items {
		ref, err := readCertificateRef(item, usual)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// readSecretName reads secret/NAME: a Secret of type kubernetes.io/tls has its
// keys by that.
func readSecretName(value string) (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSpace(value), "/")
	if kind != "secret" {
		return "", fmt.Errorf("%q is not secret/NAME, a Secret of type kubernetes.io/tls", value)
	}
	if faults := validation.IsDNS1123Subdomain(name); len(faults) > 0 {
		return "", fmt.Errorf("%q: %q is not a name: %s", value, name, strings.Join(faults, "; "))
	}
	return name, nil
}

func readCertificateRef(item, usual string) (certificateRef, error) {
	kind, rest, _ := strings.Cut(item, "/")
	name, key, keyed := strings.Cut(rest, ":")
	ref := certificateRef{name: name, key: usual}
	switch kind {
	case "configmap":
		ref.kind = gwapi.KindConfigMap
	case "secret":
		ref.kind = gwapi.KindSecret
	default:
		return certificateRef{}, fmt.Errorf("%q is neither configmap/NAME[:KEY] nor secret/NAME[:KEY]", item)
	}
	if faults := validation.IsDNS1123Subdomain(name); len(faults) > 0 {
		return certificateRef{}, fmt.Errorf("%q: %q is not a name: %s", item, name, strings.Join(faults, "; "))
	}
	if keyed {
		ref.key = key
	}
	if faults := validation.IsConfigMapKey(ref.key); len(faults) > 0 {
		return certificateRef{}, fmt.Errorf("%q: %q is not a key: %s", item, key, strings.Join(faults, "; "))
	}
	return ref, nil
}
