package resolve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/pki"
)

const withClient = byCA + "  backendtls.dev/client-certificate: secret/client\n"

// secret adds a Secret of type kubernetes.io/tls with the identity's
// certificate and key.
func (w *world) secret(namespace, name string, identity *pki.Identity, edits ...func(*corev1.Secret)) {
	w.t.Helper()
	key, err := identity.KeyPEM()
	if err != nil {
		w.t.Fatal(err)
	}
	secret := &corev1.Secret{
		Namespace: namespace, Name: name, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: identity.PEM(), corev1.TLSPrivateKeyKey: key},
	}
	for _, edit := range edits {
		edit(secret)
	}
	w.snap.Secrets = w.snap.Secrets.With(secret)
}

// asking makes gateway/web present a Secret to backends.
func (w *world) asking(ref string) {
	w.t.Helper()
	w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default}
spec: {gatewayClassName: backendtls, tls: {backend: {clientCertificateRef: ` + ref + `}}}`)
}

// elsewhere is a Gateway in another namespace.
const elsewhere = `apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: shared, namespace: infra}
spec: {gatewayClassName: backendtls}`

var (
	sharedKey = gwapi.KeyOf(gwapi.KindGateway, "infra", "shared")
	clientKey = gwapi.KeyOf(gwapi.KindSecret, "default", "client")
)

func TestAClientCertificateIsPresented(t *testing.T) {
	known := testCertificates()
	w := newWorld(t)
	w.policy("api", byCA+"  {}")
	without := w.build().at("https").Trust
	w.secret("default", "client", known.good)
	w.policy("api", withClient)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonResolvedRefs,
		"the client certificate of secret/default/client")
	trust := p.at("https").Trust
	if trust == nil || trust.Identity == nil || trust.Identity.Secret != clientKey || len(trust.Identity.Key) == 0 {
		t.Fatalf("trust %+v", trust)
	}
	if trust.Digest() == without.Digest() {
		t.Error("the trust has the digest of one without a client certificate")
	}
	if !slices.Contains(p.b.refs[clientKey], webKey) {
		t.Errorf("the Secret is not named for the Gateway: %v", p.b.refs[clientKey])
	}
	w.secret("default", "client", known.stranger)
	if renewed := w.build().at("https").Trust; renewed.Digest() == trust.Digest() {
		t.Error("another client certificate has the same digest")
	}
}

func TestNoTextShowsAClientKey(t *testing.T) {
	w := newWorld(t)
	w.secret("default", "client", testCertificates().good)
	w.policy("api", withClient)
	trust := w.build().at("https").Trust
	encoded, err := json.Marshal(trust)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		string(encoded), fmt.Sprintf("%v", trust), fmt.Sprintf("%+v", *trust), fmt.Sprintf("%#v", *trust.Identity),
		fmt.Sprint(trust.Identity), fmt.Sprintf("%+v", []model.KeyPair{*trust.Identity}),
	} {
		if strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, fmt.Sprint(trust.Identity.Key[:20])[1:]) {
			t.Errorf("the key shows in %s", text)
		}
	}
}

func TestAClientKeyDoesNotLeaveItsNamespace(t *testing.T) {
	grant := func(from, namespace, kind, name string) string {
		return `apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: grant, namespace: default}
spec:
  from: [{group: gateway.networking.k8s.io, kind: ` + from + `, namespace: ` + namespace + `}]
  to: [{group: "", kind: ` + kind + name + `}]`
	}
	for _, c := range []struct {
		name, grant string
		permitted   bool
	}{
		{"without a grant", "", false},
		{"granted", grant("Gateway", "infra", "Secret", ""), true},
		{"granted by name", grant("Gateway", "infra", "Secret", ", name: client"), true},
		{"another Secret is granted", grant("Gateway", "infra", "Secret", ", name: other"), false},
		{"another namespace is granted it", grant("Gateway", "elsewhere", "Secret", ""), false},
		{"another kind is granted it", grant("HTTPRoute", "infra", "Secret", ""), false},
		{"a ConfigMap is granted", grant("Gateway", "infra", "ConfigMap", ""), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, elsewhere)
			if c.grant != "" {
				w.add(c.grant)
			}
			w.secret("default", "client", testCertificates().good)
			w.policy("api", withClient)
			p := w.build()
			p.expectOn(policyKey, webKey, report.PolicyAccepted, report.PolicyReasonAccepted)
			if own := p.at("https"); own.Trust == nil || own.Trust.Identity == nil {
				t.Errorf("on the Gateway of its namespace: %+v", own)
			}
			shared := p.on(sharedKey, apiKey, "https")
			if c.permitted {
				if shared.Trust == nil || shared.Trust.Identity == nil {
					t.Errorf("decided %+v", shared)
				}
				return
			}
			p.expectOn(policyKey, sharedKey, report.PolicyAccepted, report.PolicyReasonInvalid,
				"no ReferenceGrant in namespace default permits gateway/infra/shared to refer to secret/default/client")
			p.expectOn(policyKey, sharedKey, report.PolicyResolvedRefs, report.PolicyReasonRefNotPermitted)
			if shared.Trust != nil || slices.Contains(p.b.refs[clientKey], sharedKey) {
				t.Errorf("decided %+v, refs %v", shared, p.b.refs[clientKey])
			}
		})
	}
}

func TestAClientCertificateThatCannotBeUsedFailsClosed(t *testing.T) {
	known := testCertificates()
	for _, c := range []struct {
		name, says string
		edit       func(*corev1.Secret)
	}{
		{"missing", "secret/default/client does not exist", nil},
		{"of another type", "has type \"Opaque\"", func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }},
		{"without a key", "has no tls.key", func(s *corev1.Secret) { delete(s.Data, corev1.TLSPrivateKeyKey) }},
		{"with the certificate of another key", "does not hold a certificate and its key", func(s *corev1.Secret) {
			s.Data[corev1.TLSCertKey] = known.stranger.PEM()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.edit != nil {
				w.secret("default", "client", known.good, c.edit)
			}
			w.policy("api", withClient)
			p := w.build()
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid,
				`spec.options["backendtls.dev/client-certificate"]`, c.says)
			p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonInvalidClientCertificateRef)
			if decision := p.at("https"); decision.Trust != nil {
				t.Errorf("decided %+v", decision)
			}
		})
	}
}

func TestAClientCertificateThatNobodyMayReadIsUnseen(t *testing.T) {
	w := newWorld(t)
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindSecret, Namespace: "default"}: "forbidden"}
	w.policy("api", withClient)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonUnseen, "secret/default/client could not be read")
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonUnseen)
	if decision := p.at("https"); decision.Trust != nil {
		t.Errorf("decided %+v", decision)
	}
}

func TestThePolicysClientCertificateGoesBeforeTheGateways(t *testing.T) {
	known := testCertificates()
	w := newWorld(t)
	w.secret("default", "client", known.good)
	w.secret("default", "of-gateway", known.stranger)
	w.asking("{name: of-gateway}")
	w.policy("api", byCA+"  {}")
	if trust := w.build().at("https").Trust; trust == nil || trust.Identity == nil || trust.Identity.Secret.Name != "of-gateway" {
		t.Errorf("trust %+v, want the Gateway's client certificate", trust)
	}
	w.policy("api", withClient)
	if trust := w.build().at("https").Trust; trust == nil || trust.Identity == nil || trust.Identity.Secret != clientKey {
		t.Errorf("trust %+v, want the policy's client certificate", trust)
	}
}

func TestAGatewayWithoutItsClientCertificateConnectsToNobody(t *testing.T) {
	w := newWorld(t)
	w.secret("default", "client", testCertificates().good)
	for ref, says := range map[string]string{
		"{name: absent}":                               "secret/default/absent does not exist",
		"{name: client, namespace: infra}":             "no ReferenceGrant in namespace infra",
		"{group: \"\", kind: ConfigMap, name: client}": "core/ConfigMap is not supported",
	} {
		w.asking(ref)
		w.policy("api", byCA+"  {}")
		p := w.build()
		p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid, "spec.tls.backend.clientCertificateRef", says)
		p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonResolvedRefs)
		if decision := p.at("https"); decision.Trust != nil {
			t.Errorf("%s: decided %+v", ref, decision)
		}
		// A policy that names its own does not need it.
		w.policy("api", withClient)
		if trust := w.build().at("https").Trust; trust == nil || trust.Identity == nil {
			t.Errorf("%s: trust %+v", ref, trust)
		}
	}
}
