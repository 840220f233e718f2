package edit_test

import (
	"fmt"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/test/pki"
)

var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// backend makes identities and fails the test where that fails.
type backend struct{ t *testing.T }

func request(name string, dns ...string) pki.Request {
	return pki.Request{Name: name, DNS: dns, NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0)}
}

func (b backend) selfSigned(r pki.Request) *pki.Identity {
	b.t.Helper()
	made, err := pki.SelfSigned(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

func (b backend) issue(by *pki.Identity, r pki.Request) *pki.Identity {
	b.t.Helper()
	made, err := by.Issue(r)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// authority is a CA whose certificate the servers present with their own.
func (b backend) authority(name string) *pki.Identity {
	r := request(name)
	r.CA = true
	made := b.selfSigned(r)
	// Without the mark of a root it is presented like any intermediate.
	return &pki.Identity{Certificate: made.Certificate, Key: made.Key}
}

// live are endpoints that serve an identity each.
func live(identities ...*pki.Identity) []edit.Live {
	served := make([]edit.Live, len(identities))
	for i, identity := range identities {
		served[i].Endpoint = fmt.Sprintf("10.0.0.%d:443", i+1)
		served[i].Chain = append(served[i].Chain, identity.Certificate)
		served[i].Chain = append(served[i].Chain, identity.Path...)
	}
	return served
}

func key(identity *pki.Identity) pin.Pin         { return pin.OfKey(identity.Certificate) }
func certificate(identity *pki.Identity) pin.Pin { return pin.OfCertificate(identity.Certificate) }

// policyOf is the policy that a manifest holds.
func policyOf(t testing.TB, text string) *gatewayv1.BackendTLSPolicy {
	t.Helper()
	parsed := manifest.ParseFile(manifest.File{Path: "policy.yaml", Data: []byte(text)})
	if len(parsed.Problems) > 0 || len(parsed.Objects) != 1 {
		t.Fatalf("%v, %d objects:\n%s", parsed.Problems, len(parsed.Objects), text)
	}
	return parsed.Objects[0].Value.(*gatewayv1.BackendTLSPolicy)
}

// policy has the lines in its spec, next to a target and a hostname.
func policy(t testing.TB, validation string, options ...string) *gatewayv1.BackendTLSPolicy {
	t.Helper()
	text := `apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: api
  namespace: shop
spec:
  targetRefs:
  - {group: "", kind: Service, name: api}
  validation:
    hostname: api.example.com
    ` + validation + "\n"
	if len(options) > 0 {
		text += "  options:\n"
		for _, option := range options {
			text += "    " + option + "\n"
		}
	}
	return policyOf(t, text)
}

const (
	withCA     = `caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]`
	withSystem = "wellKnownCACertificates: System"
	pinnedOnly = "wellKnownCACertificates: backendtls.dev/PinnedOnly"
)

// options are what a policy has after an edit.
func options(t *testing.T, p *gatewayv1.BackendTLSPolicy, e edit.Edit) map[string]string {
	t.Helper()
	after := map[string]string{}
	for key, value := range e.Apply(p).Spec.Options {
		after[string(key)] = string(value)
	}
	return after
}
