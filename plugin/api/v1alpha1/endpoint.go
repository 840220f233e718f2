package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Endpoint is one address behind a port and the verdict about it.
type Endpoint struct {
	// Address is HOST:PORT.
	Address string `json:"address"`
	// Pod is the name of the pod behind it.
	Pod string `json:"pod,omitempty"`
	// Result is Passes, Fails, Unreachable, NotProbed or Unjudged (it answered,
	// but no policy says what to verify).
	Result string `json:"result"`
	// Reason is a word for programs, such as UntrustedIssuer.
	Reason string `json:"reason,omitempty"`
	// Message says why, in plain words.
	Message string `json:"message,omitempty"`
	// Advice is the next step, where the endpoint is not what Envoy needs.
	Advice string `json:"advice,omitempty"`
	// Strict is what the policy as written would say, where a mode is in force.
	Strict string `json:"strict,omitempty"`
	// Certificate is the leaf that it presented.
	Certificate *Certificate `json:"certificate,omitempty"`
	// Checks are what Envoy checks, in order.
	Checks []Check `json:"checks,omitempty"`
}

// Check is one thing that Envoy compares.
type Check struct {
	// Check is the name of the check.
	Check string `json:"check"`
	// Outcome is Pass, Fail or NotChecked.
	Outcome string `json:"outcome"`
	// Message says what was compared.
	Message string `json:"message,omitempty"`
}

// EndpointCertificate is the live chain of one endpoint.
type EndpointCertificate struct {
	// Service is the port that the endpoint belongs to.
	Service PortReference `json:"service"`
	// Address is HOST:PORT.
	Address string `json:"address"`
	// Pod is the name of the pod behind it.
	Pod string `json:"pod,omitempty"`
	// Via is how it was reached.
	Via string `json:"via"`
	// SNI is the server name that was sent.
	SNI string `json:"sni,omitempty"`
	// ObservedAt is when.
	ObservedAt metav1.Time `json:"observedAt"`
	// TLSVersion is what was negotiated, such as 1.3.
	TLSVersion string `json:"tlsVersion,omitempty"`
	// ALPN is the protocol that was negotiated.
	ALPN string `json:"alpn,omitempty"`
	// ClientCertificate says that the endpoint asks for a client certificate.
	ClientCertificate bool `json:"clientCertificate,omitempty"`
	// ClientAuthorities are the names of the CAs whose client certificates it takes,
	// at most 16; absent where it names none.
	ClientAuthorities []string `json:"clientAuthorities,omitempty"`
	// Connected says that a connection came about, whatever became of it.
	Connected bool `json:"connected,omitempty"`
	// Protocol is what it speaks instead of TLS, such as SMTP or HTTP, where its
	// first bytes tell.
	Protocol string `json:"protocol,omitempty"`
	// Chain is what it presented, leaf first.
	Chain []Certificate `json:"chain,omitempty"`
	// Fault is what kept the handshake from finishing: Unreachable, Timeout,
	// NotTLS, StartTLS, Handshake, Unparsable, Unsupported (it cannot be asked from
	// here) or Forbidden (whoever asked may not).
	Fault string `json:"fault,omitempty"`
	// Error is the fault in words.
	Error string `json:"error,omitempty"`
	// Advice is the next step, where it is not what Envoy needs.
	Advice string `json:"advice,omitempty"`
}

// Certificate is an X.509 certificate.
type Certificate struct {
	// Subject is the distinguished name.
	Subject string `json:"subject"`
	// Issuer is the distinguished name of the issuer.
	Issuer string `json:"issuer"`
	// SelfSigned says that its own key signed it.
	SelfSigned bool `json:"selfSigned,omitempty"`
	// SANs are the subject alternative names, as KIND:NAME.
	SANs []string `json:"sans,omitempty"`
	// SerialNumber is in hexadecimal.
	SerialNumber string `json:"serialNumber,omitempty"`
	// NotBefore is the beginning of its validity.
	NotBefore metav1.Time `json:"notBefore"`
	// NotAfter is the end of its validity.
	NotAfter metav1.Time `json:"notAfter"`
	// Key is the kind and size of its public key, such as ECDSA P-256.
	Key string `json:"key"`
	// SPKISHA256 is the pin of the public key, as spki-sha256:BASE64.
	SPKISHA256 string `json:"spkiSHA256"`
	// CertSHA256 is the pin of the certificate, as cert-sha256:HEX.
	CertSHA256 string `json:"certSHA256"`
	// PEM is the certificate.
	PEM string `json:"pem,omitempty"`
}

// Verification is the answer about one port under one trust.
type Verification struct {
	// Service is the port.
	Service PortReference `json:"service"`
	// Gateways enforce this trust; absent where no route leads to the port.
	Gateways []ObjectReference `json:"gateways,omitempty"`
	// Unseen says what could not be read and keeps Gateways from being known.
	Unseen string `json:"unseen,omitempty"`
	// Controller is the controllerName of those Gateways where it is another one's.
	Controller string `json:"controller,omitempty"`
	// Policy is what decides; absent where no policy targets the port.
	Policy *Policy `json:"policy,omitempty"`
	// IgnoreMode says that the policy was judged as written, without its mode.
	IgnoreMode bool `json:"ignoreMode,omitempty"`
	// Verdict is the answer.
	Verdict Verdict `json:"verdict"`
	// Endpoints are the answers one by one.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
}
