// Package verify decides what Envoy would decide about a backend's certificate
// chain under a model.Trust, check by check and in words for people. It follows
// Envoy 1.40's default validator (source/common/tls/cert_validator/
// default_validator.cc) and the BoringSSL beneath it (crypto/x509/x509_vfy.cc,
// v3_purp.cc, v3_ncons.cc), which differ from crypto/x509: any trusted
// certificate ends a path, the leaf included; the trusted certificate's own
// dates count and its constraints on use do not; the path is found greedily and
// never tried another way; names in certificates compare without regard to case
// and string type. Only parsing and single signatures are left to crypto/x509.
//
// Where crypto/x509 cannot parse what BoringSSL could, such as a negative serial
// number, the verdict is a refusal.
//
// The package reads no clock and sends nothing; it must import nothing but the
// standard library, model and pin. Work is bounded on hostile chains: their size
// by what Envoy reads, the path by BoringSSL's depth, keys and comparisons by
// their number.
//
//	checks := verify.Verify(observation.Chain, backend.Trust, now)
//	if !verify.Accepts(checks) {
//		fmt.Println(verify.Verdict(checks)) // HostnameMismatch, PinMismatch, ...
//	}
package verify
