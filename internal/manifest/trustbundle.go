package manifest

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxTrustBundle is Kubernetes' MaxTrustBundleSize, in bytes.
const maxTrustBundle = 1 << 20

// nameOfTrustBundle takes a DNS subdomain, after the name of a signer or not, whose
// slashes are colons (Kubernetes' ValidateClusterTrustBundleName).
func nameOfTrustBundle(name string, prefix bool) []string {
	return validation.NameIsDNSSubdomain(name[strings.LastIndexByte(name, ':')+1:], prefix)
}

// checkTrustBundle judges as Kubernetes' ValidateClusterTrustBundle does.
func checkTrustBundle(object metav1.Object) field.ErrorList {
	bundle, ok := object.(*certificatesv1.ClusterTrustBundle)
	if !ok {
		return nil
	}
	return append(checkSigner(bundle.Name, bundle.Spec.SignerName),
		checkAnchors(field.NewPath("spec", "trustBundle"), bundle.Spec.TrustBundle)...)
}

// checkSigner: the name begins with the signer's, or there is none.
func checkSigner(name, signer string) field.ErrorList {
	path := field.NewPath("metadata", "name")
	before, colon := name, strings.LastIndexByte(name, ':')
	if colon >= 0 {
		before = name[:colon]
	}
	switch {
	case signer == "" && colon >= 0:
		return field.ErrorList{field.Invalid(path, name, "only with spec.signerName a colon may be in the name")}
	case signer != "" && before != strings.ReplaceAll(signer, "/", ":"):
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("of signer %s it must begin with %s:",
			signer, strings.ReplaceAll(signer, "/", ":")))}
	case signer != "" && strings.Count(signer, "/") != 1:
		return field.ErrorList{field.Invalid(field.NewPath("spec", "signerName"), signer,
			"must be a domain, a slash and a path, such as example.com/signer")}
	}
	return nil
}

// checkAnchors: certificates of authorities and nothing else, each once.
func checkAnchors(path *field.Path, text string) field.ErrorList {
	if len(text) > maxTrustBundle {
		return field.ErrorList{field.TooLong(path, "", maxTrustBundle)}
	}
	fault := func(entry int, what string) field.ErrorList {
		return field.ErrorList{field.Invalid(path, field.OmitValueType{}, fmt.Sprintf("entry %d %s", entry, what))}
	}
	seen := map[string]bool{}
	entry := 0
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		entry++
		if block.Type != "CERTIFICATE" || len(block.Headers) > 0 {
			return fault(entry, "is no CERTIFICATE, or has headers")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		switch {
		case err != nil:
			return fault(entry, fmt.Sprintf("is no certificate: %v", err))
		case !certificate.IsCA || !certificate.BasicConstraintsValid:
			return fault(entry, "is no authority's: it lacks basicConstraints CA:TRUE")
		case seen[string(block.Bytes)]:
			return fault(entry, "was there before")
		}
		seen[string(block.Bytes)] = true
	}
	if entry == 0 {
		return field.ErrorList{field.Required(path, "at least one PEM certificate")}
	}
	return nil
}
