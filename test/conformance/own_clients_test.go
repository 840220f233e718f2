package conformance

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"testing"

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

// clients are the Gateway own-clients and those who come to it.
type clients struct {
	judge *suite.ConformanceTestSuite
	host  string
	// server is the certificate of its listeners; ca the content of own-clients-ca.
	server []byte
	ca     string
	// known is signed by that CA, stranger by another.
	known, stranger *tls.Certificate
}

// newClients makes the CA, the client certificate of the Gateway, and waits
// until all of it is served.
func newClients(t *testing.T, judge *suite.ConformanceTestSuite) *clients {
	t.Helper()
	namespace := suite.InfrastructureNamespace
	ca, certificate, key := kubernetes.MustCreateCACertConfigMap(t, namespace, "own-clients-ca")
	_, otherCertificate, otherKey := kubernetes.MustCreateCACertConfigMap(t, namespace, "unused")
	known := kubernetes.MustCreateCASignedClientCertSecret(t, namespace, "own-client-certificate", certificate, key)
	stranger := kubernetes.MustCreateCASignedClientCertSecret(t, namespace, "unused", otherCertificate, otherKey)
	judge.Applier.MustApplyObjectsWithCleanup(t, judge.Client, judge.TimeoutConfig, []client.Object{ca, known},
		judge.CleanupTestResources)
	host := kubernetes.GatewayAndRoutesMustBeAccepted(t, judge.Client, judge.TimeoutConfig, judge.ControllerName,
		kubernetes.NewGatewayRef(infra("own-clients")), &gatewayv1.HTTPRoute{}, false, infra("own-clients"))
	server, _, err := kubernetes.GetTLSSecret(judge.Client, infra("tls-validity-checks-certificate"))
	if err != nil {
		t.Fatal(err)
	}
	return &clients{
		judge: judge, host: host, server: server, ca: ca.Data["ca.crt"],
		known: pair(t, known), stranger: pair(t, stranger),
	}
}

func pair(t *testing.T, secret *corev1.Secret) *tls.Certificate {
	t.Helper()
	certificate, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	return &certificate
}

// request is one to a port, with what the client shows there; nil for nothing.
func (c *clients) request(t *testing.T, port string, shown *tls.Certificate) roundtripper.Request {
	t.Helper()
	expected := &http.ExpectedResponse{Request: http.Request{Host: "own-clients.org", Path: "/"}}
	address := net.JoinHostPort(c.host, port)
	if port == "80" {
		return http.MakeRequest(t, expected, address, "HTTP", "http")
	}
	request := http.MakeRequest(t, expected, address, roundtripper.HTTPSProtocol, "https")
	request.ServerName, request.ServerCertificate = "own-clients.org", c.server
	if shown == nil {
		shown = &tls.Certificate{}
	}
	request.GetClientCertificateHook = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	// Whatever a client says of itself is not what the backend is told.
	request.Headers = map[string][]string{
		verifiedHeader: {"true"}, "X-Forwarded-Client-Cert": {"By=me"},
	}
	return request
}

const verifiedHeader = "X-Client-Cert-Verified"

// served waits until a client is served, and the backend told what is known of
// it.
func (c *clients) served(t *testing.T, port string, shown *tls.Certificate, verified string) {
	t.Helper()
	answers(t, c.judge, c.request(t, port, shown),
		func(seen *roundtripper.CapturedRequest, answer *roundtripper.CapturedResponse, err error) string {
			switch {
			case err != nil:
				return err.Error()
			case answer.StatusCode != 200:
				return fmt.Sprintf("status %d, want 200", answer.StatusCode)
			case port != "80" && !slices.Equal(seen.Headers[verifiedHeader], []string{verified}):
				return fmt.Sprintf("the backend was told %v, want %s", seen.Headers[verifiedHeader], verified)
			case slices.Contains(seen.Headers["X-Forwarded-Client-Cert"], "By=me"):
				return fmt.Sprintf("the client's own headers came through: %v", seen.Headers)
			default:
				return ""
			}
		})
}

// turnedAway waits until a client does not get as far as a response.
func (c *clients) turnedAway(t *testing.T, port string, shown *tls.Certificate) {
	t.Helper()
	answers(t, c.judge, c.request(t, port, shown),
		func(_ *roundtripper.CapturedRequest, answer *roundtripper.CapturedResponse, err error) string {
			if err == nil {
				return fmt.Sprintf("status %d, want no response at all", answer.StatusCode)
			}
			return ""
		})
}

// ownClients adds to the suite's tests the client that shows nothing, and what
// backends are told.
var ownClients = suite.ConformanceTest{
	ShortName: "OwnClientsAreTold",
	Description: "Backends are told of each client whether its certificate was verified; " +
		"who shows none is turned away unless the port says otherwise",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
		features.SupportGatewayFrontendClientCertificateValidation,
		features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
	},
	Manifests: []string{"testdata/own-clients.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		c := newClients(t, judge)
		const strict, fallback = "443", "8443"
		c.served(t, strict, c.known, "true")
		c.turnedAway(t, strict, nil)
		c.turnedAway(t, strict, c.stranger)
		c.served(t, fallback, c.known, "true")
		c.served(t, fallback, nil, "false")
		c.served(t, fallback, c.stranger, "false")
		// What some backends would take for the same header does not get there.
		request := c.request(t, fallback, nil)
		request.Headers["X_Client_Cert_Verified"] = []string{"true"}
		answers(t, judge, request,
			func(_ *roundtripper.CapturedRequest, answer *roundtripper.CapturedResponse, err error) string {
				if err != nil || answer.StatusCode != 400 {
					return fmt.Sprint("want 400: ", answer, err)
				}
				return ""
			})
	},
}

// ownMalformedClientCA replaces the clients' CA by what is none.
var ownMalformedClientCA = suite.ConformanceTest{
	ShortName:   "OwnMalformedClientCAFailsClosed",
	Description: "A clients' CA that is there and cannot be read closes the HTTPS listeners, and no others",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
		features.SupportGatewayFrontendClientCertificateValidation,
		features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
	},
	Manifests: []string{"testdata/own-clients.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		c := newClients(t, judge)
		c.served(t, "443", c.known, "true")
		write := func(content string) {
			edit(t, judge, "own-clients-ca", &corev1.ConfigMap{}, func(ca *corev1.ConfigMap) { ca.Data["ca.crt"] = content })
		}
		for what, content := range malformed {
			t.Log("the CA is", what)
			write(content)
			for _, listener := range []string{"strict", "fallback"} {
				kubernetes.GatewayListenerMustHaveConditions(t, judge.Client, judge.TimeoutConfig, infra("own-clients"), listener,
					[]metav1.Condition{
						condition("Accepted", metav1.ConditionFalse, "NoValidCACertificate"),
						condition("ResolvedRefs", metav1.ConditionFalse, "InvalidCACertificateRef"),
					})
			}
			c.turnedAway(t, "443", c.known)
			c.turnedAway(t, "8443", nil)
			c.served(t, "80", nil, "")
		}
		write(c.ca)
		c.served(t, "443", c.known, "true")
		c.served(t, "8443", nil, "false")
	},
}

// ownMalformedClientCertificate replaces the certificate that the Gateway shows
// to backends by what is none.
var ownMalformedClientCertificate = suite.ConformanceTest{
	ShortName:   "OwnMalformedClientCertificateFailsClosed",
	Description: "A Gateway whose client certificate cannot be read sends no request over TLS without it",
	Features: []features.FeatureName{
		features.SupportGateway, features.SupportHTTPRoute, features.SupportBackendTLSPolicy,
		features.SupportGatewayBackendClientCertificate, features.SupportGatewayFrontendClientCertificateValidation,
		features.SupportGatewayFrontendClientCertificateValidationInsecureFallback,
	},
	Manifests: []string{"testdata/own-clients.yaml"},
	Test: func(t *testing.T, judge *suite.ConformanceTestSuite) {
		c := newClients(t, judge)
		c.served(t, "80", nil, "")
		var good corev1.Secret
		if err := judge.Client.Get(t.Context(), infra("own-client-certificate"), &good); err != nil {
			t.Fatal(err)
		}
		write := func(certificate []byte) {
			edit(t, judge, good.Name, &corev1.Secret{}, func(secret *corev1.Secret) {
				secret.Data[corev1.TLSCertKey] = certificate
			})
		}
		// The last one is a certificate, of another key.
		for what, content := range map[string][]byte{
			"text": []byte(malformed["text"]), "a block of no certificate": []byte(malformed["a block of no certificate"]),
			"the certificate of another key": c.server,
		} {
			t.Log("the certificate is", what)
			write(content)
			kubernetes.GatewayMustHaveCondition(t, judge.Client, judge.TimeoutConfig, infra("own-clients"),
				condition("ResolvedRefs", metav1.ConditionFalse, "InvalidClientCertificateRef"))
			answers(t, judge, c.request(t, "80", nil),
				func(_ *roundtripper.CapturedRequest, answer *roundtripper.CapturedResponse, err error) string {
					if err != nil || answer.StatusCode < 500 {
						return fmt.Sprint("want 5xx: ", answer, err)
					}
					return ""
				})
		}
		write(good.Data[corev1.TLSCertKey])
		c.served(t, "80", nil, "")
	},
}
