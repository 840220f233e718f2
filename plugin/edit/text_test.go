package edit_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/inplace"
	"github.com/backendtls/backendtls/test/pki"
)

// edits are one of each verb.
func edits(t testing.TB) []edit.Edit {
	t.Helper()
	identity, err := pki.SelfSigned(request("x", "api.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := pki.SelfSigned(request("y"))
	if err != nil {
		t.Fatal(err)
	}
	ca := request("ca")
	ca.CA = true
	root, err := pki.SelfSigned(ca)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := (&pki.Identity{Certificate: root.Certificate, Key: root.Key}).Issue(request("z", "api.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	on, err := edit.SkipVerify{
		Mode: model.InsecureSkipVerification, Since: now, For: time.Hour, Reason: `it's "broken": # 1`,
	}.On()
	if err != nil {
		t.Fatal(err)
	}
	list := []edit.Edit{on, edit.SkipVerifyOff()}
	blank := policy(t, withCA, edit.OptionPins+": "+key(other).String())
	for _, pinned := range []edit.Request{
		{Form: edit.FormSPKI, Live: live(identity)},
		{Form: edit.FormCertificate, Live: live(identity, other)},
		{Form: edit.FormLeaf, Live: live(identity)},
		{Form: edit.FormCA, Live: live(issued)},
	} {
		pinned.Now = now
		made, err := edit.Pin(blank, pinned)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, made.Edit)
	}
	unpin, err := edit.Unpin(blank, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(list, unpin)
}

// checkEdited makes an edit in a text and holds that the file then says just
// what Apply says of the policy, and everything else as before, byte by byte in
// other documents. It returns the error of an edit that is refused.
func checkEdited(t testing.TB, content []byte, parsed manifest.Parsed, at manifest.Object, e edit.Edit) error {
	t.Helper()
	before := bytes.Clone(content)
	after, err := e.In(content, at)
	if !bytes.Equal(before, content) {
		t.Fatal("the content that was read is modified")
	}
	if err != nil {
		return err
	}
	again := manifest.ParseFile(manifest.File{Path: parsed.Path, Data: after})
	if len(again.Objects) != len(parsed.Objects) {
		t.Fatalf("%d objects became %d: %v\n%q\n%q", len(parsed.Objects), len(again.Objects), again.Problems, content, after)
	}
	for i, object := range again.Objects {
		old := parsed.Objects[i]
		if old.Key != object.Key || old.Document != object.Document || old.Item != object.Item {
			t.Fatalf("%s became %s", old.Key, object.Key)
		}
		if old.Document == at.Document && old.Item == at.Item {
			checkApplied(t, old, object, e)
		} else if old.Digest != object.Digest {
			t.Fatalf("%s changed too:\n%q\n%q", old.Key, content, after)
		}
	}
	checkDocuments(t, content, after, at.Document)
	return nil
}

func checkApplied(t testing.TB, old, object manifest.Object, e edit.Edit) {
	t.Helper()
	policy, ok := old.Value.(*gatewayv1.BackendTLSPolicy)
	if !ok || !old.Good() {
		return
	}
	if !object.Good() {
		// What may not be in a policy is found out after the change, by the caller.
		return
	}
	if want := e.Apply(policy); !equality.Semantic.DeepEqual(want.Spec, object.Value.(*gatewayv1.BackendTLSPolicy).Spec) {
		t.Fatalf("the policy is\n%+v\nwant\n%+v", object.Value, want)
	}
}

func checkDocuments(t testing.TB, before, after []byte, changed int) {
	t.Helper()
	olds, news := manifest.Documents(before), manifest.Documents(after)
	if len(olds) != len(news) {
		t.Fatalf("%d documents became %d", len(olds), len(news))
	}
	for i := range olds {
		old, now := before[olds[i].Start:olds[i].End], after[news[i].Start:news[i].End]
		if i != changed && !bytes.Equal(old, now) {
			t.Fatalf("document %d changed too:\n%q\n%q", i, old, now)
		}
	}
}

const several = `# A file of several documents.
apiVersion: v1
kind: ConfigMap
metadata: {name: first}
data: {a: "---"}
--- # the policy
# before
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: api # named

  namespace: shop
spec:
    targetRefs: # one
    -   kind: Service
        name: api
        group: ''
    validation:
        hostname: "api.example.com"
        # the CA
        caCertificateRefs:
        # of the team
        -   {name: ca, kind: ConfigMap, group: ''} # ca
    options:
        # a reason
        example.com/x: |-
          --- not a document

          # not a comment
    # the end of the spec
# the end
---

---
[not, an, object]
---
apiVersion: v1
kind: Service
metadata: {name: last}
spec: {ports: [{port: 1}]}`

// TestEditsChangeOneDocument makes every edit in every kind of text.
func TestEditsChangeOneDocument(t *testing.T) {
	alone := several[strings.Index(several, "apiVersion: gateway"):strings.Index(several, "---\n\n---")]
	list := "kind: List\napiVersion: v1\nitems:\n- kind: Other\n  apiVersion: x/v1\n- " +
		strings.ReplaceAll(strings.TrimRight(alone, "\n"), "\n", "\n  ") + "\n"
	flow := `{apiVersion: gateway.networking.k8s.io/v1, kind: BackendTLSPolicy, metadata: {name: api},
  spec: {targetRefs: [{kind: Service, name: api, group: ""}], validation: {hostname: h.example.com, wellKnownCACertificates: System}}}`
	json := `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"BackendTLSPolicy","metadata":{"name":"api"},
 "spec":{"targetRefs":[{"kind":"Service","name":"api","group":""}],
  "validation":{"hostname":"h.example.com","wellKnownCACertificates":"System"},"options":{"example.com/x":"\ud83d\ude00"}}}`
	typed := "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicyList\nitems:\n- metadata: {name: api}\n" +
		"  spec: &spec\n    targetRefs:\n    - {kind: Service, name: api, group: \"\"}\n" +
		"    validation: {hostname: h.example.com, wellKnownCACertificates: System}\n"
	for name, text := range map[string]string{
		"several documents": several,
		"Windows":           strings.ReplaceAll(several, "\n", "\r\n"),
		"alone":             alone,
		"without an end":    strings.TrimRight(alone, "\n"),
		"in a List":         list,
		"in a typed List":   typed,
		"in brackets":       flow,
		"JSON":              json,
		"JSON documents":    json + "\n" + strings.ReplaceAll(json, `"name":"api"}`, `"name":"b"}`) + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			parsed := manifest.ParseFile(manifest.File{Path: "x", Data: []byte(text)})
			i := slices.IndexFunc(parsed.Objects, func(o manifest.Object) bool { return o.Key.Kind == gwapi.KindBackendTLSPolicy })
			if len(parsed.Problems) > 0 || i < 0 {
				t.Fatalf("%v", parsed.Problems)
			}
			for n, e := range edits(t) {
				content := []byte(text)
				if err := checkEdited(t, content, parsed, parsed.Objects[i], e); err != nil {
					t.Errorf("edit %d: %v", n, err)
				}
				after, _ := e.In(content, parsed.Objects[i])
				checkComments(t, text, string(after))
				// Made again, it changes nothing.
				parsedAgain := manifest.ParseFile(manifest.File{Path: "x", Data: after})
				again, err := e.In(after, parsedAgain.Objects[i])
				if err != nil || !bytes.Equal(again, after) {
					t.Errorf("edit %d, made twice: %v\n%s\n%s", n, err, after, again)
				}
			}
		})
	}
}

// checkComments holds that every line that is only a comment stays, in order.
func checkComments(t *testing.T, before, after string) {
	t.Helper()
	rest := strings.Split(after, "\n")
	for line := range strings.SplitSeq(before, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "# ") {
			continue
		}
		i := slices.Index(rest, line)
		if i < 0 {
			t.Errorf("%q is lost:\n%s", line, after)
			return
		}
		rest = rest[i+1:]
	}
}

func TestASharedPolicyIsNotEdited(t *testing.T) {
	text := "kind: List\napiVersion: v1\nitems:\n- &first\n  apiVersion: gateway.networking.k8s.io/v1\n  kind: BackendTLSPolicy\n" +
		"  metadata: {name: a}\n  spec: &spec\n    targetRefs: [{kind: Service, name: api, group: ''}]\n" +
		"    validation: {hostname: h.example.com, wellKnownCACertificates: System}\n" +
		"- <<: *first\n  metadata: {name: b}\n"
	parsed := manifest.ParseFile(manifest.File{Path: "x", Data: []byte(text)})
	if len(parsed.Objects) != 2 {
		t.Fatal(parsed.Problems)
	}
	for _, at := range parsed.Objects {
		if err := checkEdited(t, []byte(text), parsed, at, edits(t)[0]); !errors.Is(err, inplace.ErrUneditable) {
			t.Errorf("%s: error %v", at.Key, err)
		}
	}
}

func TestABundleIsWrittenBesideWhatItsAuthorAdded(t *testing.T) {
	configMap := &corev1.ConfigMap{Data: map[string]string{"ca.crt": "-----BEGIN CERTIFICATE-----\nnew=\n-----END CERTIFICATE-----\n"}}
	for name, test := range map[string]struct{ before, after string }{
		"in place of another one": {
			"kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: # d\n  README: mine # m\n  # leaf\n  leaf.crt: |\n    old\n  z: 1\n",
			"kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: # d\n  README: mine # m\n  # leaf\n  z: 1\n  ca.crt: |\n" +
				"    -----BEGIN CERTIFICATE-----\n    new=\n    -----END CERTIFICATE-----\n",
		},
		"in an empty one": {
			"kind: ConfigMap\napiVersion: v1\nmetadata:\n   name: c\n",
			"kind: ConfigMap\napiVersion: v1\nmetadata:\n   name: c\ndata:\n   ca.crt: |\n" +
				"      -----BEGIN CERTIFICATE-----\n      new=\n      -----END CERTIFICATE-----\n",
		},
		"in JSON": {
			`{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {"leaf.crt": "old"}}`,
			`{"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "c"}, "data": {` +
				`"ca.crt": "-----BEGIN CERTIFICATE-----\nnew=\n-----END CERTIFICATE-----\n"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit.BundleIn([]byte(test.before), manifest.Object{Item: -1}, configMap)
			if err != nil || string(got) != test.after {
				t.Errorf("error %v, got\n%s\nwant\n%s", err, got, test.after)
			}
		})
	}
}

func TestAFileThatLostItsDocumentIsNotEdited(t *testing.T) {
	at := manifest.Object{File: "x.yaml", Line: 9, Document: 3, Item: -1}
	if _, err := edit.SkipVerifyOff().In([]byte("a: 1\n"), at); err == nil ||
		!strings.Contains(err.Error(), "x.yaml:9 does not hold what was read") {
		t.Errorf("error %v", err)
	}
}

// otherKey finds a key that is a number, a truth value or null, not a string.
var otherKey = regexp.MustCompile(`(?mi)(^|[{,\s])([-+.\d][\w.]*|true|false|yes|no|on|off|y|n|null|~)\s*:`)

// FuzzPolicyEdit edits every policy of an arbitrary file. Where that is not
// refused, the file says what Apply says and nothing else changed; and it is
// refused only where something stands in the way that the text shows.
func FuzzPolicyEdit(f *testing.F) {
	all := edits(f)
	f.Add(several, byte(0))
	f.Add(strings.ReplaceAll(several, "\n", "\r\n"), byte(2))
	for i, text := range []string{
		"kind: List\nitems:\n- " + strings.ReplaceAll(several[strings.Index(several, "apiVersion: gateway"):strings.Index(several, "---\n\n---")], "\n", "\n  "),
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"BackendTLSPolicy","metadata":{"name":"api"},"spec":{"options":{"example.com/x":""}}}`,
		"apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: api}\nspec: {options: {backendtls.dev/mode: x, a/b: c}}\n",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: api}\nspec:\n  options:\n    backendtls.dev/pins: >+\n      a\n\n   # x\n",
		"x: &a {backendtls.dev/mode: x}\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: api}\nspec: {options: {<<: *a}}\n",
	} {
		f.Add(text, byte(i))
	}
	f.Fuzz(func(t *testing.T, text string, which byte) {
		parsed := manifest.ParseFile(manifest.File{Path: "x", Data: []byte(text)})
		for _, object := range parsed.Objects {
			if object.Key.Kind != gwapi.KindBackendTLSPolicy {
				continue
			}
			err := checkEdited(t, []byte(text), parsed, object, all[int(which)%len(all)])
			// Anchors, aliases, merge keys, tags, complex keys, scalars where a
			// mapping belongs and mappings of other keys than strings.
			if err != nil && object.Good() && !strings.ContainsAny(text, "&*<!?") && !otherKey.MatchString(text) {
				t.Errorf("refused: %v\n%q\n%x", err, text, sha256.Sum256([]byte(fmt.Sprint(object.Key))))
			}
		}
	})
}
