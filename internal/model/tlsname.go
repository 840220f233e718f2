package model

// CipherSuite is a suite of TLS 1.2 that a policy can ask for. Those of TLS 1.3
// cannot be chosen in Envoy.
type CipherSuite struct {
	// Name is Envoy's, which is BoringSSL's.
	Name string
	// ID is the suite's in crypto/tls.
	ID uint16
	// Usual says that Envoy offers it where nothing is chosen (DEFAULT_CIPHER_SUITES
	// in source/common/tls/client_context_impl.cc).
	Usual bool
}

// CipherSuites are the suites that Envoy knows, less those whose key exchange is
// by RSA: without forward secrecy, whoever gets the key later reads it all.
var CipherSuites = []CipherSuite{
	{"ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b, true},
	{"ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9, true},
	{"ECDHE-RSA-AES128-GCM-SHA256", 0xc02f, true},
	{"ECDHE-RSA-CHACHA20-POLY1305", 0xcca8, true},
	{"ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c, true},
	{"ECDHE-RSA-AES256-GCM-SHA384", 0xc030, true},
	{"ECDHE-ECDSA-AES128-SHA", 0xc009, false},
	{"ECDHE-RSA-AES128-SHA", 0xc013, false},
	{"ECDHE-ECDSA-AES256-SHA", 0xc00a, false},
	{"ECDHE-RSA-AES256-SHA", 0xc014, false},
}

// Curve is a group for the key exchange, by Envoy's name. Up to TLS 1.2 an ECDSA
// key must lie on one of those that are offered.
type Curve struct {
	Name string
	// Usual says that Envoy offers it where nothing is chosen.
	Usual bool
}

// Curves are those that Envoy knows.
var Curves = []Curve{
	{"X25519", true}, {"P-256", true}, {"P-384", false}, {"P-521", false}, {"X25519MLKEM768", false},
}

// SignatureAlgorithm is how a server may sign the handshake (RFC 8446 section
// 4.2.3), by Envoy's name.
type SignatureAlgorithm struct {
	Name string
	// Usual says that Envoy takes it where nothing is chosen
	// (kVerifySignatureAlgorithms in BoringSSL's ssl/extensions.cc).
	Usual bool
}

// SignatureAlgorithms are those that Envoy knows, less SHA-1 by ECDSA, which no
// version of TLS that is spoken here allows.
var SignatureAlgorithms = []SignatureAlgorithm{
	{"ecdsa_secp256r1_sha256", true},
	{"rsa_pss_rsae_sha256", true},
	{"rsa_pkcs1_sha256", true},
	{"ecdsa_secp384r1_sha384", true},
	{"rsa_pss_rsae_sha384", true},
	{"rsa_pkcs1_sha384", true},
	{"rsa_pss_rsae_sha512", true},
	{"rsa_pkcs1_sha512", true},
	{"ecdsa_secp521r1_sha512", false},
	{"ed25519", false},
}
