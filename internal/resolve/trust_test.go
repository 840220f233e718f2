package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/pki"
)

// specification is the mode x trust table of the API's documentation, word by
// word.
const specification = `
| trust | Standard | InsecureAllowExpired | InsecureSkipOnlySANVerification | InsecureSkipVerification |
|---|---|---|---|---|
| CA | chain, dates, name | chain, name; no time check at all (not-yet-valid, intermediates and CRLs too) | chain, dates | nothing |
| CA + pins | the same + a pin | the same + a pin | the same + a pin | nothing, pins neither |
| System | chain, dates, name | as CA | Invalid unless there are pins | nothing |
| trusted-certificates | exact leaf, dates, name | exact leaf, name | exact leaf, dates | nothing |
| CA + trusted-certificates | chain to the CA and exact leaf | as both rows | as both rows | nothing |
| CA + pins + trusted-certificates | chain to the CA and a listed leaf that matches a pin | as both rows | as both rows | nothing |
| pins alone | pin only (` + "`Pinned`" + ` says: no dates, no name) | Invalid | Invalid | nothing |
| pins + trusted-certificates | as trusted-certificates, of those that match a pin; none: Invalid | the same | the same | nothing |`

// meanings is the same table with every cell spelled out as what is checked:
// the chain to the CA, the dates, the name, a pin, a listed leaf. The rows
// below it are those that the text under the table adds.
const meanings = `
| CA                               | chain dates name            | chain name            | chain dates            | nothing |
| CA + pins                        | chain dates name pin        | chain name pin        | chain dates pin        | nothing |
| System                           | chain dates name            | chain name            | Invalid                | nothing |
| trusted-certificates             | dates name listed           | name listed           | dates listed           | nothing |
| CA + trusted-certificates        | chain dates name listed     | chain name listed     | chain dates listed     | nothing |
| CA + pins + trusted-certificates | chain dates name pin listed | chain name pin listed | chain dates pin listed | nothing |
| pins alone                       | pin                         | Invalid               | Invalid                | nothing |
| pins + trusted-certificates      | dates name pin listed       | name pin listed       | dates pin listed       | nothing |
| System + pins                    | chain dates name pin        | chain name pin        | chain dates pin        | nothing |
| System + trusted-certificates    | chain dates name listed     | chain name listed     | chain dates listed     | nothing |
| System + pins + trusted-certificates | chain dates name pin listed | chain name pin listed | chain dates pin listed | nothing |
| CA + strange pin + trusted-certificates | Invalid              | Invalid               | Invalid                | Invalid |
| strange pin + trusted-certificates      | Invalid              | Invalid               | Invalid                | Invalid |`

// cells reads the rows of a table.
func cells(table string) (rows [][]string) {
	for line := range strings.Lines(strings.TrimSpace(table)) {
		var row []string
		for cell := range strings.SplitSeq(strings.Trim(strings.TrimSpace(line), "|"), "|") {
			row = append(row, strings.TrimSpace(cell))
		}
		rows = append(rows, row)
	}
	return rows
}

// trustSpec is a policy with the trust that the row names.
func trustSpec(row string, mode model.Mode) string {
	parts := strings.Split(row, " + ")
	has := func(part string) bool { return slices.Contains(parts, part) }
	validation := "wellKnownCACertificates: backendtls.dev/PinnedOnly"
	switch {
	case has("CA"):
		validation = "caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]"
	case has("System"):
		validation = "wellKnownCACertificates: System"
	}
	spec := "validation: {hostname: api.example.com, " + validation + "}\noptions:\n"
	if has("pins") || has("pins alone") {
		spec += "  backendtls.dev/pins: $SPKI\n"
	}
	if has("strange pin") {
		spec += "  backendtls.dev/pins: $STRANGE_SPKI\n"
	}
	if has("trusted-certificates") {
		spec += "  backendtls.dev/trusted-certificates: configmap/leaves\n"
	}
	return spec + fmt.Sprintf("  backendtls.dev/mode: %s\n", mode)
}

const permissive = `
apiVersion: backendtls.dev/v1alpha1
kind: GatewayParameters
metadata: {name: lax, namespace: default}
spec:
  backendTLS:
    allowedModes: [InsecureAllowExpired, InsecureSkipOnlySANVerification, InsecureSkipVerification]
    maxDuration: Unlimited
    requireReason: false
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default, generation: 3}
spec:
  gatewayClassName: backendtls
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: lax}}`

func TestTheTwoTablesHaveTheSameRows(t *testing.T) {
	documented, spelled := cells(specification)[2:], cells(meanings)
	for i, row := range documented {
		if row[0] != spelled[i][0] || len(row) != len(spelled[i]) {
			t.Errorf("row %d: documented %v, spelled out %v", i, row, spelled[i])
		}
		for column := range row {
			if strings.HasPrefix(row[column], "Invalid") != (spelled[i][column] == "Invalid") {
				t.Errorf("%s, column %d: documented %q, spelled out %q", row[0], column, row[column], spelled[i][column])
			}
		}
	}
	if len(documented) != 8 {
		t.Errorf("%d rows are documented, want 8", len(documented))
	}
	header := cells(specification)[0]
	for i, mode := range model.Modes {
		if header[i+1] != string(mode) {
			t.Errorf("column %d is %s, want %s", i+1, header[i+1], mode)
		}
	}
}

func TestEveryCellOfTheModeAndTrustTable(t *testing.T) {
	for _, row := range cells(meanings) {
		for i, mode := range model.Modes {
			t.Run(row[0]+"/"+string(mode), func(t *testing.T) {
				w := newWorld(t, permissive)
				w.policy("api", trustSpec(row[0], mode))
				// The first build announces the mode, the second one has it.
				first := w.build()
				if trust := first.at("https").Trust; trust != nil && trust.Mode.Insecure() {
					t.Errorf("the mode was in force before status named it")
				}
				w.readBack(first)
				checkCell(t, w.build(), row[i+1], mode)
			})
		}
	}
}

func checkCell(t *testing.T, p built, want string, mode model.Mode) {
	t.Helper()
	decision := p.at("https")
	if want == "Invalid" {
		p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonInvalid, "backendtls.dev/")
		if decision.Trust != nil || decision.FaultReason != "Invalid" {
			t.Errorf("an invalid combination was decided as %+v", decision)
		}
		return
	}
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	if decision.Trust == nil {
		t.Fatalf("no trust: %s", decision.Fault)
	}
	if decision.Trust.Mode != mode {
		t.Errorf("mode in force is %s, want %s", decision.Trust.Mode, mode)
	}
	checked := strings.Fields(want)
	has := func(check string) bool { return slices.Contains(checked, check) }
	certs := testCertificates()
	// What accepts and refuses certificates is asked, not how it is written.
	for _, presented := range []struct {
		name     string
		identity *pki.Identity
		refused  bool
	}{
		{"the right certificate", certs.good, false},
		{"an expired one", certs.expired, has("dates")},
		{"one of another name", certs.misnamed, has("name")},
		{"one of another CA", certs.otherIssuer, has("chain")},
		{"a right one of another key", certs.stranger, has("pin") || has("listed")},
		{"a self-signed one of the pinned key", certs.selfSigned, has("chain") || has("listed")},
	} {
		checks := verify.Verify(presented.identity.DER(), decision.Trust, noon)
		if accepted := verify.Accepts(checks); accepted == presented.refused {
			t.Errorf("%s: accepted=%t, want %t: %+v", presented.name, accepted, !presented.refused, checks)
		}
	}
	checkAssertions(t, decision.Trust)
	if decision.Written == nil || decision.Written.Mode != model.Standard {
		t.Errorf("what is written is %+v, want the policy without its mode", decision.Written)
	}
}

// checkAssertions are the assertions on upstream TLS that concern trust (the
// numbers are those of the list in docs/architecture.md).
func checkAssertions(t interface{ Errorf(string, ...any) }, trust *model.Trust) {
	if trust.Mode != model.InsecureSkipVerification && len(trust.Anchors)+len(trust.Leaves) == 0 {
		t.Errorf("A1: mode %s has neither anchors nor leaves", trust.Mode)
	}
	if trust.Mode == model.InsecureSkipVerification && len(trust.Anchors)+len(trust.Leaves)+len(trust.Names) > 0 {
		t.Errorf("A1: mode %s has something to check", trust.Mode)
	}
	if len(trust.Anchors) == 0 && (len(trust.Names) > 0 || trust.IgnoreTime) {
		t.Errorf("A3: names or times without anchors: %+v", trust)
	}
	if trust.IgnoreTime != (trust.Mode == model.InsecureAllowExpired) {
		t.Errorf("times are ignored=%t under %s", trust.IgnoreTime, trust.Mode)
	}
	for _, pin := range trust.Leaves {
		if len(pin.Base64()) != 44 || len(pin.Hex()) != 64 || pin.Kind == 0 {
			t.Errorf("A6: pin %v", pin)
		}
	}
	if trust.SNI == "" || len(trust.SNI) > 253 || strings.ContainsAny(trust.SNI, "*:\x00 ") || isAddress(trust.SNI) {
		t.Errorf("A7: SNI %q", trust.SNI)
	}
	if !trust.Mode.Insecure() && !trust.Until.IsZero() {
		t.Errorf("a strict trust lapses at %s", trust.Until)
	}
	if len(trust.Anchors) > 0 != (trust.AnchorsDigest != "") ||
		len(trust.Anchors) > 0 && trust.AnchorsDigest != model.DigestAnchors(trust.Anchors) {
		t.Errorf("the anchors' digest %q is not theirs", trust.AnchorsDigest)
	}
	if trust.Policy == (gwapi.Key{}) {
		t.Errorf("trust of no policy")
	}
}

func TestAWeakenedTrustLapsesWithItsMode(t *testing.T) {
	w := newWorld(t, permissive)
	until := noon.Add(time.Hour)
	w.policy("api", trustSpec("CA", model.InsecureSkipVerification)+
		"  backendtls.dev/mode-until: \""+stamp(until)+"\"\n")
	w.readBack(w.build())
	if trust := w.build().at("https").Trust; trust.Mode != model.InsecureSkipVerification || !trust.Until.Equal(until) {
		t.Errorf("in force is %s until %s, want until %s", trust.Mode, trust.Until, until)
	}
}

func TestTrustedCertificatesOneOfWhichMayIssueAreExact(t *testing.T) {
	certs := testCertificates()
	material := trustMaterial{policy: policyKey, sni: host, withTrusted: true}
	material.names = []model.Name{{Kind: model.DNS, Value: host}}
	material.trusted = append(material.trusted, certs.ca.Certificate)
	trust, err := material.written()
	if err != nil {
		t.Fatal(err)
	}
	if verify.Accepts(verify.Verify(certs.good.DER(), trust, noon)) {
		t.Error("a certificate that the trusted one issued was accepted in its place")
	}
}

func TestMaterialThatLacksAPartTrustsNothing(t *testing.T) {
	certs := testCertificates()
	for name, material := range map[string]trustMaterial{
		"nothing at all":                       {},
		"a CA without certificates":            {withCA: true},
		"a CA without certificates, but a pin": {withCA: true, pins: certificatePins(rawIdentities(certs.good))},
		"no trusted certificate under a CA":    {withCA: true, authorities: rawIdentities(certs.ca), withTrusted: true},
		"no trusted certificate":               {withTrusted: true},
	} {
		if trust, err := material.written(); err == nil {
			t.Errorf("%s: trusts %+v", name, trust)
		}
	}
}
