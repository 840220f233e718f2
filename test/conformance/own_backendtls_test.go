package conformance

import (
	"context"
	"fmt"
	"slices"
	"testing"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// sameNamespace is the Gateway of the suite that these cases use.
const sameNamespace = "same-namespace"

// backendAnswers sends requests of one kind to one path until the Gateway
// answers as it should: with the status, and with 200 from a backend that was
// asked for that server name.
func backendAnswers(t *testing.T, judge *suite.ConformanceTestSuite, path, serverName string, statuses ...int) {
	t.Helper()
	address := kubernetes.GatewayAndRoutesMustBeAccepted(t, judge.Client, judge.TimeoutConfig, judge.ControllerName,
		kubernetes.NewGatewayRef(infra(sameNamespace)), &gatewayv1.HTTPRoute{}, false, infra("own-backendtls"))
	request := http.MakeRequest(t, &http.ExpectedResponse{
		Request: http.Request{Host: "own.example.com", Path: path},
	}, address, "HTTP", "http")
	answers(t, judge, request,
		func(seen *roundtripper.CapturedRequest, answer *roundtripper.CapturedResponse, err error) string {
			switch {
			case err != nil:
				return err.Error()
			case !slices.Contains(statuses, answer.StatusCode):
				return fmt.Sprintf("status %d, want one of %v", answer.StatusCode, statuses)
			case answer.StatusCode == 200 && seen.TLS.ServerName != serverName:
				return fmt.Sprintf("the backend was asked for %q, want %q", seen.TLS.ServerName, serverName)
			default:
				return ""
			}
		})
}

// ownHostname changes nothing but the hostname that is verified. The suite's
// BackendTLSPolicy asks for a host there that no route has, so that a 404
// passes for a refusal.
var ownHostname = suite.ConformanceTest{
	ShortName:   "OwnHostnameDecides",
	Description: "A request that is answered is refused when the policy's hostname, and nothing else, is not the backend's",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
	},
	Manifests: []string{"testdata/own-backendtls.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		const path = "/own-hostname"
		backendAnswers(t, judge, path, "abc.example.com", 200)
		editPolicy(t, judge, "own-hostname", func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.Hostname = "wrong.example.com"
		})
		backendAnswers(t, judge, path, "", 503)
		policyHas(t, judge, "own-hostname", sameNamespace, condition("Accepted", metav1.ConditionTrue, "Accepted"))
		editPolicy(t, judge, "own-hostname", func(v *gatewayv1.BackendTLSPolicyValidation) {
			v.Hostname = "other.example.com"
		})
		backendAnswers(t, judge, path, "other.example.com", 200)
	},
}

// ownSubjectAltName does the same with the names of a certificate.
var ownSubjectAltName = suite.ConformanceTest{
	ShortName:   "OwnSubjectAltNameDecides",
	Description: "Of a policy with subjectAltNames these alone decide, whatever its hostname",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
		features.SupportBackendTLSPolicySANValidation,
	},
	Manifests: []string{"testdata/own-backendtls.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		const path, sent = "/own-san", "sent.example.com"
		backendAnswers(t, judge, path, sent, 200)
		for _, c := range []struct {
			name     gatewayv1.SubjectAltName
			statuses []int
		}{
			{gatewayv1.SubjectAltName{Type: gatewayv1.HostnameSubjectAltNameType, Hostname: sent}, []int{503}},
			{gatewayv1.SubjectAltName{
				Type: gatewayv1.URISubjectAltNameType, URI: "spiffe://abc.example.com/test-identity",
			}, []int{200}},
			{gatewayv1.SubjectAltName{
				Type: gatewayv1.URISubjectAltNameType, URI: "spiffe://abc.example.com/test-identity2",
			}, []int{503}},
			{gatewayv1.SubjectAltName{Type: gatewayv1.HostnameSubjectAltNameType, Hostname: "abc.example.com"}, []int{200}},
		} {
			editPolicy(t, judge, "own-san", func(v *gatewayv1.BackendTLSPolicyValidation) {
				v.SubjectAltNames = []gatewayv1.SubjectAltName{c.name}
			})
			backendAnswers(t, judge, path, sent, c.statuses...)
		}
	},
}

// malformed are contents that are there and no certificate. The suite's
// "malformed" objects only lack the key.
var malformed = map[string]string{
	"text": "certificate",
	"a block of no certificate": "-----BEGIN CERTIFICATE-----\n" +
		"bm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n",
	"a block without end": "-----BEGIN CERTIFICATE-----\nMIIB",
}

// ownMalformedCA replaces the CA by what is none.
var ownMalformedCA = suite.ConformanceTest{
	ShortName:   "OwnMalformedCAFailsClosed",
	Description: "A CA that is there and cannot be read is InvalidCACertificateRef, and its requests are answered with 5xx",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
	},
	Manifests: []string{"testdata/own-backendtls.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		const path, caKey = "/own-ca", "ca.crt"
		good, err := kubernetes.GetConfigMapData(judge.Client, judge.TimeoutConfig, infra("tls-checks-ca-certificate"))
		if err != nil {
			t.Fatal(err)
		}
		judge.Applier.MustApplyObjectsWithCleanup(t, judge.Client, judge.TimeoutConfig, []client.Object{&corev1.ConfigMap{
			Namespace: suite.InfrastructureNamespace, Name: "own-ca", Data: map[string]string{caKey: good[caKey]},
		}}, judge.CleanupTestResources)
		backendAnswers(t, judge, path, "abc.example.com", 200)
		write := func(content string) {
			edit(t, judge, "own-ca", &corev1.ConfigMap{}, func(ca *corev1.ConfigMap) { ca.Data[caKey] = content })
		}
		for what, content := range malformed {
			t.Log("the CA is", what)
			write(content)
			policyHas(t, judge, "own-ca", sameNamespace,
				condition("Accepted", metav1.ConditionFalse, "NoValidCACertificate"),
				condition("ResolvedRefs", metav1.ConditionFalse, "InvalidCACertificateRef"))
			backendAnswers(t, judge, path, "", 500, 503)
		}
		write(good[caKey])
		policyHas(t, judge, "own-ca", sameNamespace,
			condition("Accepted", metav1.ConditionTrue, "Accepted"),
			condition("ResolvedRefs", metav1.ConditionTrue, "ResolvedRefs"))
		backendAnswers(t, judge, path, "abc.example.com", 200)
	},
}

// ownTrustBundle takes the CA from a ClusterTrustBundle: the suite knows the
// feature, and has no test of it.
var ownTrustBundle = suite.ConformanceTest{
	ShortName:   "OwnClusterTrustBundle",
	Description: "A ClusterTrustBundle is a CA as long as it is there",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
		features.SupportClusterTrustBundle,
	},
	Manifests: []string{"testdata/own-backendtls.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		const path = "/own-bundle"
		invalid := []metav1.Condition{
			condition("Accepted", metav1.ConditionFalse, "NoValidCACertificate"),
			condition("ResolvedRefs", metav1.ConditionFalse, "InvalidCACertificateRef"),
		}
		policyHas(t, judge, "own-bundle", sameNamespace, invalid...)
		backendAnswers(t, judge, path, "", 500, 503)
		good, err := kubernetes.GetConfigMapData(judge.Client, judge.TimeoutConfig, infra("tls-checks-ca-certificate"))
		if err != nil {
			t.Fatal(err)
		}
		bundle := &certificatesv1.ClusterTrustBundle{
			Name: "own-bundle", Spec: certificatesv1.ClusterTrustBundleSpec{TrustBundle: good["ca.crt"]},
		}
		if err := judge.Client.Create(t.Context(), bundle); err != nil {
			t.Fatal(err)
		}
		// The next deletion is part of the case; this one is for a case that fails.
		t.Cleanup(func() { _ = judge.Client.Delete(context.WithoutCancel(t.Context()), bundle) })
		policyHas(t, judge, "own-bundle", sameNamespace,
			condition("Accepted", metav1.ConditionTrue, "Accepted"),
			condition("ResolvedRefs", metav1.ConditionTrue, "ResolvedRefs"))
		backendAnswers(t, judge, path, "abc.example.com", 200)
		if err := judge.Client.Delete(t.Context(), bundle); err != nil {
			t.Fatal(err)
		}
		policyHas(t, judge, "own-bundle", sameNamespace, invalid...)
		backendAnswers(t, judge, path, "", 500, 503)
	},
}
