package resolve

import (
	"crypto/tls"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

func TestOptionsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, key, value string
		words            []string
	}{
		{"an unknown key", "backendtls.dev/pinz", "x", []string{"backendtls.dev/pinz", "unknown key", "pins, pins-only"}},
		{"our domain alone", "backendtls.dev/", "x", []string{"unknown key"}},
		{"a key in another case", "backendtls.dev/Pins", "x", []string{"unknown key"}},
		{"a key without a domain", "pins", "x", []string{"without a domain", "backendtls.dev/pins"}},
		{"an empty domain", "/pins", "x", []string{"without a domain"}},
		{"an empty key", "", "x", []string{"without a domain"}},
		{"the domain in another case", "Backendtls.dev/pins", "x", []string{`"Backendtls.dev"`, "write backendtls.dev/pins"}},
		{"the domain with a hyphen", "backend-tls.dev/pins", "x", []string{"write backendtls.dev/pins"}},
		{"the domain with a hyphen under another top-level domain", "backend-tls.io/pins", "x", []string{"backendtls.dev"}},
		{"the domain under another top-level domain", "backendtls.io/pins", "x", []string{"backendtls.dev"}},
		{"the domain without a top-level domain", "backendtls/pins", "x", []string{"backendtls.dev"}},
		{"the domain with white space", " backendtls.dev/pins", "x", []string{"backendtls.dev"}},
		{"the domain with white space inside", "backendtls .dev/pins", "x", []string{"backendtls.dev"}},
		{"the domain with an invisible character", "backendtls\u200b.dev/pins", "x", []string{"backendtls.dev"}},
		{"the domain with a stray dot", "backendtls.dev./pins", "x", []string{"backendtls.dev"}},
		{"the domain without its dot", "backendtlsdev/pins", "x", []string{"backendtls.dev"}},
		{"a domain below ours", "gateway.backendtls.dev/pins", "x", []string{"backendtls.dev"}},
		{"an unknown mode", "backendtls.dev/mode", "Insecure", []string{`"Insecure"`, "Standard, InsecureAllowExpired"}},
		{"a mode in another case", "backendtls.dev/mode", "insecureskipverification", []string{"is not a mode"}},
		{"an empty mode", "backendtls.dev/mode", "", []string{"is not a mode"}},
		{"a date for a time", "backendtls.dev/mode-since", "2026-11-21", []string{"RFC 3339"}},
		{"a local time", "backendtls.dev/mode-until", "2026-11-21T12:00:00", []string{"RFC 3339"}},
		{"the first of all times", "backendtls.dev/mode-since", "0001-01-01T00:00:00Z", []string{"outside the years"}},
		{"a long reason", "backendtls.dev/mode-reason", strings.Repeat("ä", 257), []string{"257 characters", "256"}},
		{"no pin", "backendtls.dev/pins", " , ", []string{"no pin in the list"}},
		{"a pin of 31 bytes", "backendtls.dev/pins", "spki-sha256:" + strings.Repeat("A", 42) + "==", []string{"bytes"}},
		{"pins-only that is false", "backendtls.dev/pins-only", "false", []string{`"false"`, `"true"`}},
		{"no trusted certificate", "backendtls.dev/trusted-certificates", "", []string{"names nothing"}},
		{"a trusted certificate of no kind", "backendtls.dev/trusted-certificates", "leaves", []string{`"leaves"`, "configmap/NAME"}},
		{"a kind in another case", "backendtls.dev/trusted-certificates", "ConfigMap/leaves", []string{"configmap/NAME"}},
		{"a trusted certificate without a name", "backendtls.dev/trusted-certificates", "secret/", []string{"not a name"}},
		{"a name in another namespace", "backendtls.dev/trusted-certificates", "secret/other/leaves", []string{"not a name"}},
		{"an empty key of a Secret", "backendtls.dev/trusted-certificates", "secret/leaves:", []string{"not a key"}},
		{"a key that is a path", "backendtls.dev/trusted-certificates", "secret/leaves:..", []string{"not a key"}},
		{"a version below 1.2", "backendtls.dev/min-tls-version", "1.1", []string{`"1.1"`, `"1.2" nor "1.3"`}},
		{"a version as Envoy writes it", "backendtls.dev/max-tls-version", "TLSv1_3", []string{`"1.2" nor "1.3"`}},
		{"an unknown cipher suite", "backendtls.dev/cipher-suites", "ECDHE-RSA-AES128-GCM-SHA256 RC4-MD5", []string{`"RC4-MD5"`, "ECDHE-ECDSA-AES128-GCM-SHA256"}},
		{"a cipher suite without forward secrecy", "backendtls.dev/cipher-suites", "AES128-GCM-SHA256", []string{"is not a cipher suite that is served"}},
		{"a cipher suite of TLS 1.3", "backendtls.dev/cipher-suites", "TLS_AES_128_GCM_SHA256", []string{"is not a cipher suite that is served"}},
		{"a group of cipher suites", "backendtls.dev/cipher-suites", "[ECDHE-RSA-AES128-GCM-SHA256|ECDHE-RSA-AES256-GCM-SHA384]", []string{"is not a cipher suite"}},
		{"no cipher suite", "backendtls.dev/cipher-suites", ",", []string{"names no cipher suite", "remove the key"}},
		{"a curve by another name", "backendtls.dev/ecdh-curves", "prime256v1", []string{`"prime256v1"`, "X25519, P-256, P-384"}},
		{"a curve twice", "backendtls.dev/ecdh-curves", "P-256, X25519, P-256", []string{`"P-256" is given twice`}},
		{"an unknown signature algorithm", "backendtls.dev/signature-algorithms", "rsa_pss_pss_sha256", []string{"rsa_pss_rsae_sha256"}},
		{"a signature algorithm of SHA-1", "backendtls.dev/signature-algorithms", "rsa_pkcs1_sha1", []string{"is not a signature algorithm"}},
		{"an unknown protocol", "backendtls.dev/alpn-protocols", "spdy/3", []string{`"spdy/3"`, "http/1.1, h2"}},
		{"a client certificate in a ConfigMap", "backendtls.dev/client-certificate", "configmap/x", []string{"secret/NAME", "kubernetes.io/tls"}},
		{"a client certificate by key", "backendtls.dev/client-certificate", "secret/x:tls.crt", []string{`"x:tls.crt" is not a name`}},
		{"two client certificates", "backendtls.dev/client-certificate", "secret/x, secret/y", []string{"is not a name"}},
		{"no revocation list", "backendtls.dev/crl", " ", []string{"names nothing", "configmap/NAME"}},
		{"a revocation list at an address", "backendtls.dev/crl", "http://crl.example.com/ca.crl", []string{"configmap/NAME"}},
		{"a scope without a list", "backendtls.dev/crl-scope", "Leaf", []string{"no meaning without backendtls.dev/crl"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := readOptions(map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
				gatewayv1.AnnotationKey(c.key): gatewayv1.AnnotationValue(c.value),
			})
			if len(options.faults) != 1 {
				t.Fatalf("faults %q, want one", options.faults)
			}
			for _, word := range append(c.words, "spec.options[") {
				if !strings.Contains(options.faults[0], word) {
					t.Errorf("the fault lacks %q: %s", word, options.faults[0])
				}
			}
		})
	}
}

func TestAScopeThatIsNoneIsRefused(t *testing.T) {
	options := readOptions(map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
		"backendtls.dev/crl": "configmap/x", "backendtls.dev/crl-scope": "chain",
	})
	if len(options.faults) != 1 || !strings.Contains(options.faults[0], `"chain" is neither Leaf nor Chain`) {
		t.Errorf("faults %q", options.faults)
	}
}

func TestOptionsThatAreUnderstood(t *testing.T) {
	options := readOptions(map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{
		"backendtls.dev/mode":                 "InsecureAllowExpired",
		"backendtls.dev/mode-since":           "2026-11-21T13:00:00+01:00",
		"backendtls.dev/mode-until":           "2026-11-21T14:00:00.5Z",
		"backendtls.dev/mode-reason":          "  renewal is late \n",
		"backendtls.dev/pins-only":            "true",
		"backendtls.dev/trusted-certificates": "secret/b:x.pem,\n configmap/a secret/b:x.pem",
		"backendtls.dev/client-certificate":   "secret/client",
		"backendtls.dev/crl":                  "configmap/lists, secret/lists:x.crl",
		"backendtls.dev/crl-scope":            "Chain",
		"backendtls.dev/min-tls-version":      "1.2",
		"backendtls.dev/max-tls-version":      "1.3",
		"backendtls.dev/cipher-suites":        "ECDHE-RSA-AES256-GCM-SHA384,ECDHE-RSA-AES128-GCM-SHA256",
		"backendtls.dev/ecdh-curves":          "P-384\nX25519",
		"backendtls.dev/signature-algorithms": "ed25519",
		"backendtls.dev/alpn-protocols":       "h2",
		"example.com/pins":                    "x",
		"backendtls.example.com/mode":         "x",
		"mybackendtls.dev/mode":               "x",
	})
	if len(options.faults) > 0 {
		t.Fatalf("faults %q", options.faults)
	}
	if options.mode != model.InsecureAllowExpired || !options.pinsOnly || options.reason != "renewal is late" ||
		!options.since.Equal(noon) || !options.until.Equal(noon.Add(2*time.Hour+500*time.Millisecond)) {
		t.Errorf("read %+v", options)
	}
	lists := []certificateRef{{gwapi.KindConfigMap, "lists", "ca.crl"}, {gwapi.KindSecret, "lists", "x.crl"}}
	if !slices.Equal(options.crls, lists) || options.crlScope != crlScopeChain || options.client != "client" {
		t.Errorf("client certificate %q, revocation lists %v %s, want %v", options.client, options.crls, options.crlScope, lists)
	}
	offer := tlsOffer{
		least: tls.VersionTLS12, most: tls.VersionTLS13,
		suites:     []string{"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"},
		curves:     []string{"P-384", "X25519"},
		algorithms: []string{"ed25519"},
		alpn:       []string{"h2"},
	}
	if !reflect.DeepEqual(options.offer, offer) {
		t.Errorf("offers %+v, want %+v", options.offer, offer)
	}
	want := []certificateRef{{gwapi.KindSecret, "b", "x.pem"}, {gwapi.KindConfigMap, "a", "tls.crt"}}
	if !slices.Equal(options.trusted, want) {
		t.Errorf("trusted %v, want %v", options.trusted, want)
	}
	if want := []string{"backendtls.example.com/mode", "example.com/pins", "mybackendtls.dev/mode"}; !slices.Equal(options.ignored, want) {
		t.Errorf("ignored %q, want %q", options.ignored, want)
	}
}

func TestLeavingAModeNeverFails(t *testing.T) {
	// What remains of a mode has no effect, and says so, but is no fault.
	for _, mode := range []string{"", "backendtls.dev/mode: Standard\n  "} {
		w := newWorld(t)
		w.policy("api", `validation: {hostname: api.example.com, wellKnownCACertificates: System}
options:
  `+mode+`backendtls.dev/mode-since: "2026-11-21T12:00:00Z"
  backendtls.dev/mode-reason: over`)
		p := w.build()
		p.expect(policyKey, "Accepted", "Accepted", "no effect of backendtls.dev/mode-reason, backendtls.dev/mode-since")
		p.expect(policyKey, "SecurityDegraded", "Strict")
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("backendtls.dev/mode=InsecureSkipVerification\nbackendtls.dev/mode-since=2026-11-21T12:00:00Z")
	f.Add("backendtls.dev/pins=sha256//AAAA\nBackendtls.dev/pins-only=true\nexample.com/a=b\npins=x")
	f.Add("backendtls.dev/trusted-certificates=configmap/a:b,secret/c\nbackend-tls.io/mode=Standard")
	f.Fuzz(func(t *testing.T, text string) {
		given := map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{}
		for line := range strings.SplitSeq(text, "\n") {
			key, value, _ := strings.Cut(line, "=")
			given[gatewayv1.AnnotationKey(key)] = gatewayv1.AnnotationValue(value)
		}
		options := readOptions(given)
		for _, key := range options.ignored {
			plain := strings.ToLower(key)
			if strings.HasPrefix(plain, gwapi.Prefix) || strings.HasPrefix(plain, "backendtls/") || !strings.Contains(plain, "/") {
				t.Errorf("%q was ignored", key)
			}
		}
		if len(options.faults) > 0 {
			return
		}
		for key := range maps.Keys(given) {
			ignored := slices.Contains(options.ignored, string(key))
			name, ours := strings.CutPrefix(string(key), gwapi.Prefix)
			if ignored == ours || ours && !slices.Contains(servedOptions, name) {
				t.Errorf("%q is neither understood, nor refused, nor ignored", key)
			}
		}
		if _, asked := given["backendtls.dev/pins"]; asked != (len(options.pins) > 0) {
			t.Errorf("pins asked=%t, read %v", asked, options.pins)
		}
		if _, asked := given["backendtls.dev/trusted-certificates"]; asked != (len(options.trusted) > 0) {
			t.Errorf("trusted-certificates asked=%t, read %v", asked, options.trusted)
		}
		if !slices.Contains(model.Modes, options.mode) {
			t.Errorf("mode %q", options.mode)
		}
		if !options.since.IsZero() && !options.until.IsZero() && !options.until.After(options.since) {
			t.Errorf("until %s is not after since %s", options.until, options.since)
		}
	})
}
