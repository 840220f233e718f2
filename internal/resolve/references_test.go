package resolve

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// Each reference stands for a row of what can be wrong with one.
var references = map[string]struct {
	ref, says string
	good      bool
}{
	"config map":    {`{group: "", kind: ConfigMap, name: ca}`, "configmap/default/ca", true},
	"secret":        {`{group: "", kind: Secret, name: ca}`, "secret/default/ca", true},
	"bundle":        {`{group: certificates.k8s.io, kind: ClusterTrustBundle, name: "example.com:roots:v1"}`, "clustertrustbundle/", true},
	"absent":        {`{group: "", kind: ConfigMap, name: absent}`, "configmap/default/absent does not exist", false},
	"absent bundle": {`{group: certificates.k8s.io, kind: ClusterTrustBundle, name: absent}`, "clustertrustbundle/absent does not exist", false},
	"other kind":    {`{group: "", kind: Service, name: api}`, "core/Service holds no CA", false},
	"other group":   {`{group: example.com, kind: ConfigMap, name: ca}`, "example.com/ConfigMap holds no CA", false},
}

func TestOfSeveralReferencesTheValidOnesAreUsedAndTheOthersNamed(t *testing.T) {
	for _, names := range [][]string{
		{"config map"},
		{"secret", "bundle"},
		{"config map", "secret", "bundle"},
		{"absent", "config map"},
		{"config map", "other kind"},
		{"bundle", "absent bundle", "absent"},
		{"other group", "absent bundle", "secret", "other kind"},
		{"absent"},
		{"other kind"},
		{"absent", "other group"},
		{"absent bundle", "other kind", "absent"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(names, "+"), " ", "_"), func(t *testing.T) {
			w := newWorld(t).trustBundle("CA_AND_OTHER")
			var refs []string
			good, first := 0, report.PolicyReasonResolvedRefs
			for _, name := range names {
				refs = append(refs, references[name].ref)
				switch {
				case references[name].good:
					good++
				case first == report.PolicyReasonResolvedRefs && strings.HasPrefix(name, "other"):
					first = report.PolicyReasonInvalidKind
				case first == report.PolicyReasonResolvedRefs:
					first = report.PolicyReasonInvalidCACertificateRef
				}
			}
			w.policy("api", "validation:\n  hostname: api.example.com\n  caCertificateRefs: ["+strings.Join(refs, ", ")+"]")
			p := w.build()
			p.expect(policyKey, report.PolicyResolvedRefs, first)
			for i, name := range names {
				if !references[name].good {
					p.expect(policyKey, report.PolicyResolvedRefs, first, fmt.Sprintf("caCertificateRefs[%d]: ", i), references[name].says)
				}
			}
			trust := p.at("https").Trust
			if good == 0 {
				p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonNoValidCACertificate)
				if trust != nil {
					t.Errorf("trust %+v of no valid reference", trust)
				}
				return
			}
			p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
			want := 1
			if slices.Contains(names, "bundle") {
				want = 2
			}
			if trust == nil || len(trust.Anchors) != want {
				t.Errorf("trust %+v, want %d authorities, each once", trust, want)
			}
		})
	}
}

func TestNamesOfBothTypesAreAskedForByTheirTypeAlone(t *testing.T) {
	w := newWorld(t)
	w.policy("api", `validation:
  hostname: api.example.com
  caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]
  subjectAltNames:
  - {type: URI, uri: "spiffe://example.com/api"}
  - {type: Hostname, hostname: other.example.com}
  - {type: Hostname, hostname: "*.example.com"}
  - {type: Hostname, hostname: other.example.com}`)
	want := []model.Name{
		{Kind: model.DNS, Value: "*.example.com"},
		{Kind: model.DNS, Value: "other.example.com"},
		{Kind: model.URI, Value: "spiffe://example.com/api"},
	}
	trust := w.build().at("https").Trust
	if trust == nil || !slices.Equal(trust.Names, want) || trust.SNI != "api.example.com" {
		t.Errorf("trust %+v, want the names %v and not the hostname", trust, want)
	}
}

func TestSixteenTargetsAreAllDecided(t *testing.T) {
	const most = 16
	w := newWorld(t)
	var targets []string
	for i := range most {
		w.add(fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: s%02d, namespace: default}\n"+
			"spec: {ports: [{name: https, port: 443, appProtocol: https}]}", i))
		targets = append(targets, fmt.Sprintf(`{group: "", kind: Service, name: s%02d}`, i))
	}
	w.policy("api", "targetRefs: ["+strings.Join(targets, ", ")+"]\n"+
		`validation: {hostname: api.example.com, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}`)
	p := w.build()
	p.expect(policyKey, report.PolicyAccepted, report.PolicyReasonAccepted)
	for i := range most {
		decision := p.on(webKey, gwapi.KeyOf(gwapi.KindService, "default", fmt.Sprintf("s%02d", i)), "https")
		if decision.Trust == nil || decision.Trust.Policy != policyKey {
			t.Errorf("target %d: trust %v", i, decision.Trust)
		}
	}
}
