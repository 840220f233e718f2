package verify_test

import (
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// now is a whole second, and no certificate's last one.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestVerdictsAreEnvoys(t *testing.T) {
	for _, r := range matrix(world{t: t, now: now}) {
		t.Run(r.name, func(t *testing.T) {
			checks := verify.Verify(r.chain, &r.trust, now)
			if got := verify.Verdict(checks); got != r.want {
				t.Errorf("verdict %s, want %s: %+v", got, r.want, checks)
			}
			if got := verify.Accepts(checks); got != (r.want == verify.Verified) {
				t.Errorf("accepts %v with the verdict %s", got, verify.Verdict(checks))
			}
		})
	}
}

// outcomes is one letter for each of verify.Kinds: P, F, or - for NotChecked.
func outcomes(t *testing.T, checks []verify.Check) string {
	t.Helper()
	letters := map[verify.Outcome]string{verify.Pass: "P", verify.Fail: "F", verify.NotChecked: "-"}
	var out strings.Builder
	kinds := slices.Clone(verify.Kinds)
	if len(checks) < len(kinds) {
		// Without revocation lists nobody asks for them.
		kinds = slices.DeleteFunc(kinds, func(k verify.CheckKind) bool { return k == verify.KindRevocation })
	}
	for i, check := range checks {
		if check.Kind != kinds[i] {
			t.Errorf("check %d is %s, want %s", i, check.Kind, kinds[i])
		}
		if check.Message == "" {
			t.Errorf("%s has no message", check.Kind)
		}
		if (check.Reason != "") != (check.Outcome == verify.Fail) {
			t.Errorf("%s: outcome %s with reason %q", check.Kind, check.Outcome, check.Reason)
		}
		out.WriteString(letters[check.Outcome])
	}
	return out.String()
}

func TestEveryCheckIsMadeThoughAnotherFails(t *testing.T) {
	w := world{t: t, now: now}
	root, other := w.authority("root"), w.authority("other")
	leaf := w.leaf(root)
	bad := w.leaf(root, w.expired, clientOnly, dns("elsewhere.example.com"), encipherOnly)
	elsewhere := pin.OfKey(root.Certificate)
	for name, c := range map[string]struct {
		server *pki.Identity
		trust  model.Trust
		want   string
	}{
		"authority and name":      {leaf, anchored(root), "PPPPP-"},
		"authority, name and pin": {leaf, pinned(anchored(root), pin.OfKey(leaf.Certificate)), "PPPPPP"},
		"everything wrong":        {bad, pinned(anchored(other), elsewhere), "FFFFFF"},
		"pins alone":              {bad, pinsOnly(elsewhere), "F----F"},
		"nothing verified":        {leaf, skipAll(), "P-----"},
		"time ignored":            {leaf, allowExpired(anchored(root)), "PP-PP-"},
		"name skipped":            {leaf, skipName(anchored(root)), "PPPP--"},
		"trusted leaf":            {leaf, exactly(leaf), "PPP-PP"},
		"a mode without trust":    {leaf, model.Trust{Mode: model.Standard}, "PF----"},
		"anchors that are no certificates": {
			leaf, model.Trust{Mode: model.Standard, Anchors: [][]byte{[]byte("x")}}, "PFPP--",
		},
	} {
		t.Run(name, func(t *testing.T) {
			checks := verify.Verify(c.server.DER(), &c.trust, now)
			if got := outcomes(t, checks); got != c.want {
				t.Errorf("outcomes %s, want %s: %+v", got, c.want, checks)
			}
		})
	}
}

func TestWithoutTrustOrCertificateNothingIsAccepted(t *testing.T) {
	leaf := world{t: t, now: now}.selfSigned()
	trust := skipAll()
	if verify.Accepts(verify.Verify(leaf.DER(), nil, now)) {
		t.Error("no trust at all accepted a certificate")
	}
	for name, chain := range map[string][][]byte{
		"none": nil, "empty": {{}}, "garbage": {[]byte("garbage")},
		"garbage above the leaf": {leaf.Certificate.Raw, []byte("garbage")},
		"trailing bytes":         {slices.Concat(leaf.Certificate.Raw, []byte{0})},
	} {
		checks := verify.Verify(chain, &trust, now)
		if got := outcomes(t, checks); got != "F-----" {
			t.Errorf("%s: outcomes %s: %+v", name, got, checks)
		}
	}
	if verify.Accepts(nil) || verify.Verdict(nil) == verify.Verified {
		t.Error("no checks at all were taken for acceptance")
	}
}

func TestACertificateIsExpiredInItsLastSecond(t *testing.T) {
	leaf := world{t: t, now: now}.selfSigned()
	trust := anchored(leaf)
	for _, c := range []struct {
		at   time.Time
		want bool
	}{
		{leaf.Certificate.NotBefore.Add(-time.Nanosecond), false},
		{leaf.Certificate.NotBefore, true},
		{leaf.Certificate.NotAfter.Add(-time.Nanosecond), true},
		{leaf.Certificate.NotAfter, false},
	} {
		if got := verify.Accepts(verify.Verify(leaf.DER(), &trust, c.at)); got != c.want {
			t.Errorf("at %s: accepted %v", c.at, got)
		}
	}
}

func TestMessagesSayWhatWasExpectedAndPresented(t *testing.T) {
	w := world{t: t, now: now}
	root, other := w.authority("root"), w.authority("other")
	leaf := w.leaf(root, dns("a.example.com", "b.example.com", "c.example.com", "d.example.com", "e.example.com"))
	nameless := w.leaf(root, dns(), func(r *pki.Request) { r.Name = host })
	dead := w.leaf(root, w.expired)
	foreign := pin.OfKey(root.Certificate)
	first := w.selfSigned(asAuthority, func(r *pki.Request) { r.Serial = 1 })
	second := w.selfSigned(asAuthority, func(r *pki.Request) { r.Serial = 2 })
	for name, c := range map[string]struct {
		server *pki.Identity
		trust  model.Trust
		kind   verify.CheckKind
		want   []string
	}{
		"wrong name": {leaf, anchored(root), verify.KindName, []string{
			`want DNS "api.example.com"`, `DNS name "a.example.com"`, `and 1 more`,
		}},
		"no names": {nameless, anchored(root), verify.KindName, []string{
			"no subject alternative names", `"api.example.com" does not count`,
		}},
		"literal wildcard": {
			leaf, named(anchored(root), model.Name{Kind: model.DNS, Value: "*.example.com"}), verify.KindName,
			[]string{`"*.example.com" (that very wildcard)`},
		},
		"expired": {dead, anchored(root), verify.KindDates, []string{
			`"CN=api" expired at 2026-11-19T12:00:00Z`, "now is 2026-11-21T12:00:00Z",
		}},
		"valid": {leaf, anchored(root), verify.KindDates, []string{"valid until 2026-11-22T12:00:00Z"}},
		"other authority": {leaf, anchored(other), verify.KindChain, []string{
			`"CN=api" was issued by "CN=root"`, `want "CN=other"`,
		}},
		"wrong pin": {leaf, pinsOnly(foreign), verify.KindLeaf, []string{
			"presents " + pin.OfKey(leaf.Certificate).String(), pin.OfCertificate(leaf.Certificate).String(),
			"want " + foreign.String(),
		}},
		"shadowed": {second, anchored(first, second), verify.KindChain, []string{
			"(serial 2)", "(serial 1)",
			"pin both",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, check := range verify.Verify(c.server.DER(), &c.trust, now) {
				for _, want := range c.want {
					if check.Kind == c.kind && !strings.Contains(check.Message, want) {
						t.Errorf("%s: %q lacks %q", check.Kind, check.Message, want)
					}
				}
			}
		})
	}
}

func TestTextFromCertificatesIsQuotedAndCut(t *testing.T) {
	w := world{t: t, now: now}
	const escape = "\x1b[2Jevil\nAccepted=True"
	hostile := w.selfSigned(dns(), altNames(dnsName(escape), uriName("x:"+strings.Repeat("y", 5000))),
		func(r *pki.Request) { r.Name = escape + strings.Repeat("z", 5000) })
	trust := anchored(w.authority(escape))
	for _, check := range verify.Verify(hostile.DER(), &trust, now) {
		if strings.ContainsAny(check.Message, "\x1b\n") {
			t.Errorf("%s: control characters in %q", check.Kind, check.Message)
		}
		if len(check.Message) > 2000 {
			t.Errorf("%s: a message of %d bytes", check.Kind, len(check.Message))
		}
	}
}

func TestShadowedNamesTrustedCertificatesThatEnvoyRefuses(t *testing.T) {
	w := world{t: t, now: now}
	serial := func(n int64) func(*pki.Request) { return func(r *pki.Request) { r.Serial = n } }
	first, second := w.selfSigned(asAuthority, serial(1)), w.selfSigned(asAuthority, serial(2))
	leaf, renewal := w.selfSigned(serial(1)), w.selfSigned(serial(2))
	raw := func(identities ...*pki.Identity) [][]byte {
		var out [][]byte
		for _, identity := range identities {
			out = append(out, identity.Certificate.Raw)
		}
		return out
	}
	if got := verify.Shadowed(raw(first, second)); len(got) != 1 || string(got[0]) != string(second.Certificate.Raw) {
		t.Errorf("shadowed %d, want the second", len(got))
	}
	if got := verify.Shadowed(raw(first, leaf, renewal)); len(got) != 0 {
		t.Errorf("shadowed %d of certificates that cannot issue", len(got))
	}
	many := []*pki.Identity{first, second}
	for i := range 22 {
		many = append(many, w.authority(fmt.Sprint("other", i)))
	}
	if got := verify.Shadowed(raw(many...)); len(got) != 2 {
		t.Errorf("of many anchors the order is unknown, shadowed %d", len(got))
	}
}

func TestHostileChainsAreJudgedQuickly(t *testing.T) {
	w := world{t: t, now: now}
	root := w.authority("root")
	huge := func(bits uint) func(*pki.Request) {
		modulus := new(big.Int).SetBit(big.NewInt(1), int(bits)-1, 1)
		return func(r *pki.Request) { r.PublicKey = &rsa.PublicKey{N: modulus, E: 1<<31 - 1} }
	}
	fits, tooLarge := w.leaf(root, huge(16384)), w.leaf(root, huge(16392))
	if trust := pinsOnly(pin.OfKey(fits.Certificate)); !verify.Accepts(verify.Verify(fits.DER(), &trust, now)) {
		t.Error("an RSA key of 16384 bits was refused")
	}
	if trust := skipAll(); verify.Accepts(verify.Verify(tooLarge.DER(), &trust, now)) {
		t.Error("an RSA key of more than 16384 bits was accepted")
	}
	// Each claims to have issued the one before, whose key is as large as can be.
	var loop [][]byte
	for range 20 {
		loop = append(loop, w.middle(root, func(r *pki.Request) { r.Name = "root" }, huge(16384)).Certificate.Raw)
	}
	constrained := w.authority("constrained", permits(append(manyNames(4_000), "example.org")...))
	comparing := w.leaf(constrained, dns(manyNames(4_000)...))
	for name, c := range map[string]struct {
		chain [][]byte
		trust model.Trust
	}{
		"large keys":                  {append([][]byte{fits.Certificate.Raw}, loop...), anchored(w.authority("x"))},
		"names against constraints":   {comparing.DER(), skipName(anchored(constrained))},
		"more certificates than read": {repeat(root.Certificate.Raw, 1000), anchored(w.authority("x"))},
		"tiny certificates":           {repeat(root.Certificate.Raw, 200), anchored(w.authority("x"))},
	} {
		start := time.Now()
		if verify.Accepts(verify.Verify(c.chain, &c.trust, now)) {
			t.Errorf("%s: accepted", name)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

func repeat(der []byte, n int) [][]byte {
	chain := make([][]byte, n)
	for i := range chain {
		chain[i] = der
	}
	return chain
}

func TestReasonsAreOrderedByWhatTheyExplain(t *testing.T) {
	fail := func(reasons ...verify.Reason) (checks []verify.Check) {
		for _, reason := range reasons {
			checks = append(checks, verify.Check{Outcome: verify.Fail, Reason: reason})
		}
		return checks
	}
	for _, c := range []struct {
		checks []verify.Check
		want   verify.Reason
	}{
		{fail(verify.HostnameMismatch, verify.CertificateExpired), verify.CertificateExpired},
		{fail(verify.UntrustedIssuer, verify.CertificateExpired), verify.UntrustedIssuer},
		{fail(verify.UntrustedIssuer, verify.PinMismatch), verify.PinMismatch},
		{fail(verify.PinMismatch, verify.Unreachable), verify.Unreachable},
		{[]verify.Check{{Outcome: verify.NotChecked}}, verify.Verified},
	} {
		if got := verify.Verdict(c.checks); got != c.want {
			t.Errorf("%v: %s, want %s", c.checks, got, c.want)
		}
	}
}

// FuzzVerify overwrites two bytes of an odd chain or its anchor, and holds that
// nothing panics, that trusting more never accepts less, and that skipping
// verification accepts what the handshake does.
func FuzzVerify(f *testing.F) {
	w := world{t: new(testing.T), now: now}
	root := w.authority("root", permits("example.com"))
	middle := w.middle(root, requiresPolicy(), policy(4))
	leaf := w.leaf(middle, policy(4))
	odd := w.authority("odd", altNames(dnsName(host), uriName("spiffe://x/y"), mailName("a@b"), ipName(1, 2, 3, 4)),
		permitsNames(dnsName("x"), uriName(".x"), mailName("b"), directoryName(commonName(0x1e, "\x00o"))))
	under := w.leaf(odd, altNames(dnsName(host), uriName("spiffe://x.x/y"), mailName("c@b")), issuedBy(nil, 7))
	worlds := [][][]byte{
		{leaf.Certificate.Raw, middle.Certificate.Raw, root.Certificate.Raw},
		{under.Certificate.Raw, odd.Certificate.Raw, odd.Certificate.Raw},
		{odd.Certificate.Raw, odd.Certificate.Raw, odd.Certificate.Raw},
	}
	for i := range worlds {
		f.Add(uint8(i), uint8(0), uint16(0), byte(0x30), uint8(1), uint16(0), byte(0x30))
		f.Add(uint8(i), uint8(0), uint16(200), byte(0), uint8(2), uint16(300), byte(0xff))
	}
	f.Fuzz(func(t *testing.T, which, cert1 uint8, at1 uint16, to1 byte, cert2 uint8, at2 uint16, to2 byte) {
		var certs [3][]byte
		for i, der := range worlds[int(which)%len(worlds)] {
			certs[i] = slices.Clone(der)
		}
		first, second := certs[cert1%3], certs[cert2%3]
		first[int(at1)%len(first)] = to1
		second[int(at2)%len(second)] = to2
		judgeConsistently(t, certs[:2], certs[2])
	})
}

func judgeConsistently(t *testing.T, chain [][]byte, anchor []byte) {
	t.Helper()
	accepts := func(trust model.Trust) bool {
		checks := verify.Verify(chain, &trust, now)
		outcomes(t, checks)
		return verify.Accepts(checks)
	}
	trust := model.Trust{
		Mode: model.Standard, Anchors: [][]byte{anchor}, Names: []model.Name{{Kind: model.DNS, Value: host}},
		Leaves: []pin.Pin{pin.OfDER(chain[0])},
	}
	strict := accepts(trust)
	if strict && !accepts(allowExpired(skipName(trust))) {
		t.Error("a looser trust accepts less")
	}
	if strict && !accepts(skipAll()) {
		t.Error("skipping verification accepts less")
	}
	if accepts(pinsOnly(pin.OfDER(chain[0]))) != accepts(skipAll()) {
		t.Error("a pin of the very certificate and no verification differ")
	}
}
