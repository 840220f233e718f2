package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/test/pki"
)

// row is one backend under one policy, and what a client gets.
type row struct {
	name string
	// serves is what the backend presents.
	serves *pki.Identity
	// validation and options are the policy's; no validation means no policy.
	validation  string
	options     map[string]string
	appProtocol string

	want int
	// counter must have moved: of cluster.NAME.ssl.
	counter string
	// condition of the policy, or of the route where there is no policy.
	condition, reason, says string
}

// fixtures are what rows share.
type fixtures struct {
	issuer
	ca, other   *pki.Identity
	host        string
	trusted     string
	missing     string
	bundles     string
	good, wrong *pki.Identity
	stale       *pki.Identity
	foreign     *pki.Identity
	self        *pki.Identity
}

func newFixtures(t *testing.T) *fixtures {
	i := issuer{t: t, now: time.Now()}
	f := &fixtures{issuer: i, host: "backend.test"}
	f.ca, f.other = i.authority("ca"), i.authority("other")
	f.good = i.leaf(f.ca, f.host)
	f.wrong = i.leaf(f.ca, "elsewhere.test")
	f.stale = i.leaf(f.ca, f.host, i.expired)
	f.foreign = i.leaf(f.other, f.host)
	request := i.request("self")
	request.DNS = []string{f.host}
	f.self = i.must(pki.SelfSigned(request))
	f.trusted = fmt.Sprintf(
		`{hostname: %s, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}`, f.host)
	f.missing = fmt.Sprintf(
		`{hostname: %s, caCertificateRefs: [{group: "", kind: ConfigMap, name: absent}]}`, f.host)
	f.bundles = configMap("ca", f.ca.PEM()) + configMap("garbage", []byte("-----BEGIN CERTIFICATE-----\nnonsense")) +
		configMap("leaf-good", f.good.PEM()) + configMap("leaf-stale", f.stale.PEM()) +
		configMap("leaf-wrong", f.wrong.PEM()) + configMap("leaf-self", f.self.PEM())
	return f
}

func (f *fixtures) key(i *pki.Identity) string  { return pin.OfKey(i.Certificate).String() }
func (f *fixtures) cert(i *pki.Identity) string { return pin.OfCertificate(i.Certificate).String() }

func (f *fixtures) system() string {
	return fmt.Sprintf(`{hostname: %s, wellKnownCACertificates: System}`, f.host)
}

func (f *fixtures) pinnedOnly() string {
	return fmt.Sprintf(`{hostname: %s, wellKnownCACertificates: backendtls.dev/PinnedOnly}`, f.host)
}

func options(pairs ...string) map[string]string {
	o := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		o["backendtls.dev/"+pairs[i]] = pairs[i+1]
	}
	return o
}

// mode is an insecure mode in force for an hour.
func (f *fixtures) mode(mode string, more ...string) map[string]string {
	return options(append(more, "mode", mode, "mode-since", f.now.Add(-time.Minute).UTC().Format(time.RFC3339),
		"mode-until", f.now.Add(time.Hour).UTC().Format(time.RFC3339), "mode-reason", "test")...)
}

func TestWhatEnvoyDoesUnderEachPolicy(t *testing.T) {
	f := newFixtures(t)
	rows := append(f.strictRows(), f.pinRows()...)
	rows = append(rows, f.modeRows()...)
	rows = append(rows, f.faultRows()...)
	w := newWorld(t)
	w.base(allowAll)
	var manifests strings.Builder
	manifests.WriteString(f.bundles)
	for i, r := range rows {
		name := fmt.Sprintf("row-%d", i)
		manifests.WriteString(service(name, name+".test", serve(t, r.serves), r.appProtocol))
		if r.validation != "" {
			manifests.WriteString(policy(name, r.validation, r.options))
		}
	}
	w.write("rows.yaml", manifests.String())
	w.start()
	for i, r := range rows {
		t.Run(strings.ReplaceAll(r.name, " ", "_"), func(t *testing.T) { r.check(t, w, fmt.Sprintf("row-%d", i)) })
	}
	// The faults of some rows must not have touched their neighbours.
	for i, r := range rows {
		if got := w.get(fmt.Sprintf("row-%d.test", i)); got != r.want {
			t.Errorf("%s: at the end a client got %d, want %d", r.name, got, r.want)
		}
	}
}

func (r row) check(t *testing.T, w *world, name string) {
	// The outer test's world reports to the outer test.
	inner := *w
	inner.t = t
	inner.eventually("status and answer of "+r.name, func() bool {
		return (r.validation == "" || inner.programmed(name)) && inner.get(name+".test") == r.want
	})
	if r.counter != "" {
		stat := fmt.Sprintf("cluster.default/%s/443.ssl.%s", name, r.counter)
		inner.eventually(stat, func() bool { v := inner.stat(stat); return v != "" && v != "0" })
	}
	if r.condition == "" {
		return
	}
	got := inner.policyCondition(name, r.condition)
	if r.validation == "" {
		got = inner.routeCondition(name, r.condition)
	}
	if got.Status != metav1.ConditionFalse && r.condition != "SecurityDegraded" ||
		got.Reason != r.reason || !strings.Contains(got.Message, r.says) {
		t.Errorf("%s is %s/%s %q, want %s saying %q", r.condition, got.Status, got.Reason, got.Message, r.reason, r.says)
	}
}

func (f *fixtures) strictRows() []row {
	return []row{
		{name: "CA and hostname right", serves: f.good, validation: f.trusted, want: http.StatusOK},
		{
			name: "wrong hostname", serves: f.wrong, validation: f.trusted,
			want: http.StatusServiceUnavailable, counter: "fail_verify_san",
		},
		{
			name: "other CA", serves: f.foreign, validation: f.trusted,
			want: http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "expired leaf", serves: f.stale, validation: f.trusted,
			want: http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "trusted certificate right", serves: f.self, validation: f.pinnedOnly(),
			options: options("trusted-certificates", "configmap/leaf-self:ca.crt"), want: http.StatusOK,
		},
		{
			name: "trusted certificate of a CA right", serves: f.good, validation: f.pinnedOnly(),
			options: options("trusted-certificates", "configmap/leaf-good:ca.crt"), want: http.StatusOK,
		},
		{
			name: "trusted certificate expired", serves: f.stale, validation: f.pinnedOnly(),
			options: options("trusted-certificates", "configmap/leaf-stale:ca.crt"),
			want:    http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "trusted certificate with a wrong name", serves: f.wrong, validation: f.pinnedOnly(),
			options: options("trusted-certificates", "configmap/leaf-wrong:ca.crt"),
			want:    http.StatusServiceUnavailable, counter: "fail_verify_san",
		},
		{
			name: "another certificate than the trusted one", serves: f.good, validation: f.pinnedOnly(),
			options: options("trusted-certificates", "configmap/leaf-self:ca.crt"), want: http.StatusServiceUnavailable,
		},
	}
}

func (f *fixtures) pinRows() []row {
	const mismatch = "fail_verify_cert_hash"
	return []row{
		{
			name: "SPKI pin right", serves: f.self, validation: f.pinnedOnly(),
			options: options("pins", f.key(f.self)), want: http.StatusOK,
		},
		{
			name: "SPKI pin wrong", serves: f.self, validation: f.pinnedOnly(),
			options: options("pins", f.key(f.good)), want: http.StatusServiceUnavailable, counter: mismatch,
		},
		{
			name: "certificate pin right", serves: f.self, validation: f.pinnedOnly(),
			options: options("pins", f.cert(f.self)), want: http.StatusOK,
		},
		{
			name: "certificate pin wrong", serves: f.self, validation: f.pinnedOnly(),
			options: options("pins", f.cert(f.good)), want: http.StatusServiceUnavailable, counter: mismatch,
		},
		{
			name: "CA and pin both pass", serves: f.good, validation: f.trusted,
			options: options("pins", f.key(f.good)), want: http.StatusOK,
		},
		{
			name: "CA passes and the pin does not", serves: f.good, validation: f.trusted,
			options: options("pins", f.key(f.self)), want: http.StatusServiceUnavailable, counter: mismatch,
		},
		{
			name: "the pin passes and the CA does not", serves: f.self, validation: f.trusted,
			options: options("pins", f.key(f.self)), want: http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "pins-only leaves the CA out", serves: f.self, validation: f.trusted,
			options: options("pins", f.key(f.self), "pins-only", "true"), want: http.StatusOK,
		},
		{
			name: "of two pins the first passes", serves: f.self, validation: f.pinnedOnly(),
			options: options("pins", f.key(f.self)+" "+f.cert(f.good)), want: http.StatusOK,
		},
		{
			name: "of two pins the second passes", serves: f.good, validation: f.pinnedOnly(),
			options: options("pins", f.key(f.self)+", "+f.cert(f.good)), want: http.StatusOK,
		},
		{
			name: "a pin of the CA does not pass", serves: f.good, validation: f.trusted,
			options: options("pins", f.key(f.ca)), want: http.StatusServiceUnavailable, counter: mismatch,
		},
	}
}

func (f *fixtures) modeRows() []row {
	const degraded = "SecurityDegraded"
	return []row{
		{
			name: "allow expired accepts expired", serves: f.stale, validation: f.trusted,
			options: f.mode("InsecureAllowExpired"), want: http.StatusOK,
			condition: degraded, reason: "ExpiredCertificatesAllowed", says: "test",
		},
		{
			name: "allow expired refuses another CA", serves: f.foreign, validation: f.trusted,
			options: f.mode("InsecureAllowExpired"), want: http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "allow expired refuses a wrong name", serves: f.wrong, validation: f.trusted,
			options: f.mode("InsecureAllowExpired"), want: http.StatusServiceUnavailable, counter: "fail_verify_san",
		},
		{
			name: "skip name accepts a wrong name", serves: f.wrong, validation: f.trusted,
			options: f.mode("InsecureSkipOnlySANVerification"), want: http.StatusOK,
			condition: degraded, reason: "SANVerificationSkipped", says: "test",
		},
		{
			name: "skip name refuses another CA", serves: f.foreign, validation: f.trusted,
			options: f.mode("InsecureSkipOnlySANVerification"),
			want:    http.StatusServiceUnavailable, counter: "fail_verify_error",
		},
		{
			name: "skip name is refused with System", serves: f.good, validation: f.system(),
			options: f.mode("InsecureSkipOnlySANVerification"), want: http.StatusInternalServerError,
			condition: "Accepted", reason: "Invalid", says: "System",
		},
		{
			name: "skip verification accepts anything", serves: f.self, validation: f.trusted,
			options: f.mode("InsecureSkipVerification"), want: http.StatusOK,
			condition: degraded, reason: "VerificationSkipped", says: "test",
		},
		{
			name:   "skip verification accepts expired of another CA with another name",
			serves: f.leaf(f.other, "elsewhere.test", f.expired), validation: f.trusted,
			options: f.mode("InsecureSkipVerification"), want: http.StatusOK,
		},
		{
			name: "skip verification leaves pins out", serves: f.self, validation: f.trusted,
			options: f.mode("InsecureSkipVerification", "pins", f.key(f.good)), want: http.StatusOK,
		},
	}
}

func (f *fixtures) faultRows() []row {
	stamp := func(d time.Duration) string { return f.now.Add(d).UTC().Format(time.RFC3339) }
	fault := func(name, validation string, o map[string]string, reason, says string) row {
		return row{
			name: name, serves: f.good, validation: validation, options: o,
			want: http.StatusInternalServerError, condition: "Accepted", reason: reason, says: says,
		}
	}
	garbage := strings.Replace(f.trusted, "name: ca}", "name: garbage}", 1)
	skip := []string{"mode", "InsecureSkipVerification"}
	return []row{
		fault("garbage PEM", garbage, nil, "NoValidCACertificate", "garbage"),
		fault("missing ConfigMap", f.missing, nil, "NoValidCACertificate", "absent"),
		fault("unknown option key", f.trusted, options("pinz", "x"), "Invalid", "backendtls.dev/pinz"),
		fault("31-byte pin", f.trusted,
			options("pins", "spki-sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="), "Invalid", "31 bytes"),
		fault("until before since", f.trusted, options(append(skip,
			"mode-since", stamp(0), "mode-until", stamp(-time.Hour))...), "Invalid", "mode-until"),
		fault("duration over the maximum", f.trusted, options(append(skip,
			"mode-since", stamp(-time.Minute), "mode-until", stamp(48*time.Hour))...),
			"InsecureVerificationNotAllowed", "24h"),
		{
			name: "appProtocol https without a policy", serves: f.good, appProtocol: "https",
			want: http.StatusInternalServerError, condition: "ResolvedRefs", reason: "UnsupportedProtocol",
			says: "BackendTLSPolicy",
		},
		{name: "a good neighbor", serves: f.good, validation: f.trusted, want: http.StatusOK},
	}
}
