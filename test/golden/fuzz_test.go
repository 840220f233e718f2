package golden_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/document"
)

// FuzzSnapshot goes from objects to Envoy's configuration. Its input chooses a
// case, and edits it: a value becomes one from anywhere in any case, goes or
// doubles, a whole object comes from another case. No schema is asked, as if an
// API server had let anything pass. Nothing may panic, what is sent keeps the
// rules of the assertions (written here a second time, from the messages alone),
// and the order in which objects came decides nothing.
func FuzzSnapshot(f *testing.F) {
	cases := fuzzCases(f)
	var words []any
	for _, documents := range cases {
		for _, object := range documents {
			words = document.Words(words, object)
		}
	}
	words = append(words, "", "*", "*.com", "(", "127.0.0.1", "\x00", "\xff", nil, -1.0, 0.0, 65536.0, true, []any{}, map[string]any{})
	for i := range cases {
		f.Add([]byte{byte(i), byte(i)})
	}
	f.Add(append([]byte{standalone | admitModes, 0}, "exchange a few values"...))
	f.Fuzz(func(t *testing.T, input []byte) {
		choices := bytesOf(input)
		documents := edited(&choices, cases, words, cases[int(choices.next())%len(cases)])
		flags := choices.flags
		one, other := meant(documents, flags, false), meant(documents, flags, true)
		first, second := resolve.Build(one), resolve.Build(other)
		for key, gateway := range first.Gateways {
			again := second.Gateways[key]
			if gateway.Digest != again.Digest {
				t.Errorf("%s: the order of objects makes another model", key)
			}
			resources, _ := envoy.Translate(gateway)
			held, _ := envoy.Translate(again)
			if text := encoded(t, resources); text != encoded(t, held) {
				t.Errorf("%s: the order of objects makes another configuration", key)
			}
			judgeResources(t, one, gateway, resources)
		}
		if len(first.Gateways) != len(second.Gateways) {
			t.Error("the order of objects makes other Gateways")
		}
	})
}

// choices are the bytes that are left. Where they end, every choice is 0.
type choices struct {
	rest  []byte
	flags byte
}

func bytesOf(input []byte) choices {
	c := choices{rest: input}
	c.flags = c.next()
	return c
}

func (c *choices) next() byte {
	if len(c.rest) == 0 {
		return 0
	}
	first := c.rest[0]
	c.rest = c.rest[1:]
	return first
}

func fuzzCases(f *testing.F) (cases [][]any) {
	f.Helper()
	inputs, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, input := range inputs {
		var documents []any
		for _, text := range readDocuments(f, input) {
			var document any
			if err := yaml.Unmarshal([]byte(text), &document); err != nil {
				f.Fatalf("%s: %v", input, err)
			}
			documents = append(documents, document)
		}
		cases = append(cases, documents)
	}
	return cases
}

// edited is the case with edits of five bytes each.
func edited(c *choices, cases [][]any, words []any, documents []any) []any {
	made := make([]any, len(documents))
	for i := range documents {
		made[i] = document.Clone(documents[i])
	}
	for len(c.rest) >= 5 && len(made) > 0 {
		how, at, steps, high, low := c.next(), int(c.next()), int(c.next()), int(c.next()), int(c.next())
		if how%8 == 7 {
			from := cases[high%len(cases)]
			made = append(made, document.Clone(from[low%len(from)]))
			continue
		}
		at %= len(made)
		made[at] = document.Edit(made[at], steps, words[(high<<8|low)%len(words)], how%8)
	}
	return made
}

// The bits of the flags.
const (
	standalone = 1 << iota
	withoutTrustBundles
	admitModes
)

// meant is the documents as a Snapshot, from the last one to the first if asked.
// Of two of one name the first one counts either way.
func meant(documents []any, flags byte, backwards bool) *snapshot.Snapshot {
	snap := &snapshot.Snapshot{
		Now: now, Site: snapshot.Site{Standalone: flags&standalone != 0}, TrustBundlesServed: flags&withoutTrustBundles == 0,
	}
	seen := map[string]bool{}
	var kept [][]byte
	for _, object := range documents {
		data, err := json.Marshal(object)
		var head metav1.PartialObjectMetadata
		if err != nil || json.Unmarshal(data, &head) != nil {
			continue
		}
		if name := head.Kind + "/" + head.Namespace + "/" + head.Name; !seen[name] {
			seen[name] = true
			kept = append(kept, data)
		}
	}
	if backwards {
		slices.Reverse(kept)
	}
	for _, data := range kept {
		document.Add(snap, data)
	}
	if flags&admitModes != 0 {
		admit(snap)
	}
	return snap
}

// reasons are those of SecurityDegraded by mode.
var reasons = map[string]string{
	"InsecureSkipVerification":        "VerificationSkipped",
	"InsecureSkipOnlySANVerification": "SANVerificationSkipped",
	"InsecureAllowExpired":            "ExpiredCertificatesAllowed",
}

// admit says in every policy's status, for every Gateway, that its mode is on, so
// that modes which are allowed are in force.
func admit(s *snapshot.Snapshot) {
	for _, policy := range s.TLSPolicies.Sorted() {
		mode := strings.TrimSpace(string(policy.Spec.Options[gwapi.Prefix+"mode"]))
		reason := reasons[mode]
		if reason == "" {
			continue
		}
		for _, gateway := range s.Gateways.Sorted() {
			policy.Status.Ancestors = append(policy.Status.Ancestors, gatewayv1.PolicyAncestorStatus{
				AncestorRef: gatewayv1.ParentReference{
					Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")),
					Namespace: new(gatewayv1.Namespace(gateway.Namespace)), Name: gatewayv1.ObjectName(gateway.Name),
				},
				ControllerName: gwapi.ControllerName,
				Conditions: []metav1.Condition{
					{Type: report.PolicySecurityDegraded, Status: metav1.ConditionTrue, Reason: reason},
				},
			})
		}
	}
}
