package resolve

import (
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// bundled is a policy that trusts a ClusterTrustBundle with CA.
func bundled(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.policy("api", `validation:
  hostname: api.example.com
  caCertificateRefs: [{group: certificates.k8s.io, kind: ClusterTrustBundle, name: "example.com:roots:v1"}]`)
	return w
}

// with adds the bundle with a text of the test's certificates.
func (w *world) trustBundle(text string) *world {
	w.add("apiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {name: \"example.com:roots:v1\"}\n" +
		"spec:\n  signerName: example.com/roots\n  trustBundle: |\n    " +
		strings.ReplaceAll(strings.TrimSpace(testCertificates().texts[text]), "\n", "\n    "))
	return w
}

func TestAClusterTrustBundleIsACA(t *testing.T) {
	p := bundled(t).trustBundle("CA_AND_OTHER").build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	p.expect(policyKey, report.PolicyResolvedRefs, report.PolicyReasonResolvedRefs)
	if trust := p.at("https").Trust; trust == nil || len(trust.Anchors) != 2 {
		t.Errorf("trust %+v, want two authorities, each once", trust)
	}
}

func TestAClusterTrustBundleThatCannotBeUsedTrustsNothing(t *testing.T) {
	for name, c := range map[string]struct {
		world  *world
		reason report.PolicyReason
		says   []string
	}{
		"no such API": {bundled(t), report.PolicyReasonInvalidKind, []string{
			"caCertificateRefs[0]", "does not serve ClusterTrustBundles", "1.37",
		}},
		"no right": {denied(bundled(t)), report.PolicyReasonInvalidKind, []string{"caCertificateRefs[0]: the operator may not"}},
		"no such object": {served(bundled(t)), report.PolicyReasonInvalidCACertificateRef, []string{
			"clustertrustbundle/example.com:roots:v1 does not exist",
		}},
		"another thing in it": {bundled(t).trustBundle("KEY"), report.PolicyReasonInvalidCACertificateRef, []string{
			"clustertrustbundle/example.com:roots:v1 spec.trustBundle: PEM block 2",
		}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			p := c.world.build()
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonNoValidCACertificate)
			p.expect(policyKey, report.PolicyResolvedRefs, c.reason, c.says...)
			if trust := p.at("https").Trust; trust != nil {
				t.Errorf("trust %+v", trust)
			}
		})
	}
}

func TestAClusterTrustBundleThatMayNotBeReadIsUnknown(t *testing.T) {
	w := served(bundled(t))
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindClusterTrustBundle}: "forbidden"}
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonUnseen, "clustertrustbundle/example.com:roots:v1")
}

func TestAnotherTrustBundleIsAnotherCluster(t *testing.T) {
	before := bundled(t).trustBundle("CA").build().at("https").Trust
	after := bundled(t).trustBundle("OTHER").build().at("https").Trust
	if before == nil || after == nil || before.Digest() == after.Digest() {
		t.Error("a bundle with another content makes no other trust")
	}
}

func served(w *world) *world {
	w.snap.TrustBundlesServed = true
	return w
}

func denied(w *world) *world {
	w.snap.TrustBundlesDenied = "the operator may not"
	return w
}

func TestWhatVerifiesClientsMayBeABundleThatIsNamedWithoutANamespace(t *testing.T) {
	w := newWorld(t)
	w.add("apiVersion: certificates.k8s.io/v1\nkind: ClusterTrustBundle\nmetadata: {name: roots}\nspec: {trustBundle: $CA}")
	for namespace, fault := range map[gatewayv1.Namespace]string{
		"":        "",
		"default": `refs[0]: a ClusterTrustBundle has no namespace, "default" is given`,
		"other":   `refs[0]: a ClusterTrustBundle has no namespace, "other" is given`,
	} {
		f := &frontend{}
		found, ok := newBuilder(w.snap).frontendCA(webKey, f, "refs[0]: ", &gatewayv1.ObjectReference{
			Group: "certificates.k8s.io", Kind: "ClusterTrustBundle", Name: "roots", Namespace: new(namespace),
		})
		if ok != (fault == "") || ok != (len(found.certificates) == 1) || strings.Join(f.faults, "; ") != fault {
			t.Errorf("namespace %q: %d certificates, faults %q, want %q", namespace, len(found.certificates), f.faults, fault)
		}
		if reason := gatewayv1.ListenerReasonInvalidCACertificateRef; !ok && f.reason != reason {
			t.Errorf("namespace %q: reason %s, want %s", namespace, f.reason, reason)
		}
	}
}
