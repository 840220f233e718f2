package manifest_test

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/test/pki"
)

func TestAClusterTrustBundleIsReadAsAnAPIServerTakesIt(t *testing.T) {
	request := pki.Request{Name: "ca", CA: true, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0)}
	ca, err := pki.SelfSigned(request)
	if err != nil {
		t.Fatal(err)
	}
	request.CA = false
	leaf, err := ca.Issue(request)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ object, signer, text, want string }{
		"without a signer":             {"roots", "", string(ca.PEM()), ""},
		"of a signer":                  {"example.com:roots:v1", "example.com/roots", string(ca.PEM()), ""},
		"a colon without a signer":     {"example.com:roots:v1", "", string(ca.PEM()), "spec.signerName"},
		"a signer that is not named":   {"roots", "example.com/roots", string(ca.PEM()), "must begin with example.com:roots:"},
		"of another signer":            {"other.com:roots:v1", "example.com/roots", string(ca.PEM()), "must begin with"},
		"a signer without a path":      {"example.com:v1", "example.com", string(ca.PEM()), "a domain, a slash and a path"},
		"a name that is none":          {"Roots", "", string(ca.PEM()), "a lowercase RFC 1123 subdomain"},
		"nothing in it":                {"roots", "", "nothing", "at least one PEM certificate"},
		"a certificate of no CA":       {"roots", "", string(leaf.PEM()), "entry 1 is no authority's"},
		"a certificate twice":          {"roots", "", string(ca.PEM()) + string(ca.PEM()), "entry 2 was there before"},
		"a block of another kind":      {"roots", "", strings.ReplaceAll(string(ca.PEM()), "CERTIFICATE", "PUBLIC KEY"), "entry 1 is no CERTIFICATE"},
		"a certificate that is broken": {"roots", "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "entry 1 is no certificate"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			text := "apiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {name: \"" + c.object + "\"}\nspec:\n"
			if c.signer != "" {
				text += "  signerName: " + c.signer + "\n"
			}
			text += "  trustBundle: |\n    " + strings.ReplaceAll(strings.TrimSpace(c.text), "\n", "\n    ") + "\n"
			set, problems := manifest.Parse([]manifest.File{{Path: "f.yaml", Data: []byte(text)}})
			if c.want == "" {
				_, found := set.Snapshot().TrustBundles.Get(types.NamespacedName{Name: c.object})
				if len(problems) > 0 || !found || !set.Snapshot().TrustBundlesServed {
					t.Errorf("found %v, problems %v", found, problems)
				}
				return
			}
			if len(problems) != 1 || !strings.Contains(problems[0].String(), c.want) {
				t.Errorf("problems %v, want one of %q", problems, c.want)
			}
		})
	}
}
