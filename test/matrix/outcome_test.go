package matrix_test

import (
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/verify"
)

// outcome is what became of a connection.
type outcome string

// The outcomes besides a refusal by a check.
const (
	accepted outcome = "accepted"
	// invalid: the policy is refused, and Envoy was told not to try.
	invalid outcome = "invalid"
)

// refusedBy is a refusal by a check.
func refusedBy(kind verify.CheckKind) outcome { return outcome("refused: " + kind) }

// judged is what verify decides: the first check that fails, in the order in
// which Envoy makes them, which is that of words.
func judged(checks []verify.Check) outcome {
	for _, word := range words {
		if slices.ContainsFunc(checks, func(c verify.Check) bool {
			return c.Kind == word.kind && c.Outcome == verify.Fail
		}) {
			return refusedBy(word.kind)
		}
	}
	return accepted
}

// reasons are parts of Envoy's words for a failed connection, by the check that
// they speak of: OpenSSL's texts for X509_verify_cert, and those of
// default_validator.cc. The first that is found counts.
var reasons = []struct {
	words string
	kind  verify.CheckKind
}{
	{"certificate has expired", verify.KindDates},
	{"certificate is not yet valid", verify.KindDates},
	{"unsupported certificate purpose", verify.KindUsage},
	{"unable to get local issuer certificate", verify.KindChain},
	{"self signed certificate", verify.KindChain},
	{"certificate revoked", verify.KindRevocation},
	{"CRL has expired", verify.KindRevocation},
	{"unable to get certificate CRL", verify.KindRevocation},
	{"SAN matcher", verify.KindName},
	{"cert hash and spki", verify.KindLeaf},
	{"CERTIFICATE VERIFY FAILED", ""},
	{"TLS error", verify.KindHandshake},
}

// told is what Envoy's answer and its words mean; ok is false for words that
// nobody knows.
func told(status int, words string) (result outcome, ok bool) {
	switch status {
	case 200:
		return accepted, true
	case 500:
		return invalid, true
	}
	// The access log has underscores where the texts have blanks.
	words = strings.ReplaceAll(words, "_", " ")
	for _, reason := range reasons {
		if strings.Contains(words, reason.words) {
			return refusedBy(reason.kind), reason.kind != ""
		}
	}
	return "", false
}
