package manifest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/snapshot"
)

func parseGood(t *testing.T, data string) *snapshot.Snapshot {
	t.Helper()
	set, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(data)}})
	if len(problems) > 0 {
		t.Fatalf("problems %v", problems)
	}
	return set.Snapshot()
}

func configMap(t *testing.T, s *snapshot.Snapshot, name string) *corev1.ConfigMap {
	t.Helper()
	found, ok := s.ConfigMaps.Get(types.NamespacedName{Namespace: "default", Name: name})
	if !ok {
		t.Fatalf("no ConfigMap %s", name)
	}
	return found
}

func TestDefaultsAreThoseOfAnAPIServer(t *testing.T) {
	s := parseGood(t, `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: api
  managedFields: [{manager: kubectl}]
  resourceVersion: "7"
  uid: x
  generation: 12
  deletionTimestamp: "2026-01-01T00:00:00Z"
  creationTimestamp: "2025-01-01T00:00:00Z"
spec:
  hostnames: null
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: api, port: 443}]}]
status: {parents: 7}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls, namespace: ignored}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: grant, namespace: other}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: default}]
  to: [{group: "", kind: Service}]
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 443}]}
---
apiVersion: v1
kind: Secret
metadata: {name: tls}
data: {a: AQ==, b: AQ==}
stringData: {b: text}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {env: dev, kubernetes.io/metadata.name: lie}}
`)
	route, _ := s.HTTPRoutes.Get(types.NamespacedName{Namespace: "default", Name: "api"})
	match := route.Spec.Rules[0].Matches[0]
	if *match.Path.Type != gatewayv1.PathMatchPathPrefix || *match.Path.Value != "/" ||
		*route.Spec.Rules[0].BackendRefs[0].Weight != 1 || *route.Spec.ParentRefs[0].Kind != "Gateway" {
		t.Errorf("route %+v lacks defaults", route.Spec)
	}
	if route.ResourceVersion != "" || route.ManagedFields != nil || route.Generation != 1 || route.UID == "x" ||
		route.UID == "" || route.DeletionTimestamp != nil || route.CreationTimestamp.Year() != 2025 {
		t.Errorf("metadata %+v", route.ObjectMeta)
	}
	if _, found := s.GatewayClasses.Get(types.NamespacedName{Name: "backendtls"}); !found {
		t.Error("the GatewayClass has kept a namespace")
	}
	grant, _ := s.ReferenceGrants.Get(types.NamespacedName{Namespace: "other", Name: "grant"})
	if grant.APIVersion != "gateway.networking.k8s.io/v1" || len(grant.Spec.From) != 1 {
		t.Errorf("grant %+v", grant)
	}
	service, _ := s.Services.Get(types.NamespacedName{Namespace: "default", Name: "api"})
	if port := service.Spec.Ports[0]; port.Protocol != "TCP" || port.TargetPort.IntValue() != 443 ||
		service.Spec.Type != "ClusterIP" || !service.CreationTimestamp.IsZero() {
		t.Errorf("service %+v", service.Spec)
	}
	secret, _ := s.Secrets.Get(types.NamespacedName{Namespace: "default", Name: "tls"})
	if string(secret.Data["a"]) != "\x01" || string(secret.Data["b"]) != "text" || secret.StringData != nil ||
		secret.Type != corev1.SecretTypeOpaque {
		t.Errorf("secret %+v", secret)
	}
	want := map[string]map[string]string{
		"default":           {"env": "dev", corev1.LabelMetadataName: "default"},
		"other":             {corev1.LabelMetadataName: "other"},
		"backendtls-system": {corev1.LabelMetadataName: "backendtls-system"},
	}
	got := map[string]map[string]string{}
	for _, namespace := range s.Namespaces.Sorted() {
		got[namespace.Name] = namespace.Labels
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("namespaces: %s", diff)
	}
}

func TestEveryFormOfAFileGivesTheSameObjects(t *testing.T) {
	item := func(name string) string {
		return fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"},"data":{"k":"\ud83d\ude00\/"}}`, name)
	}
	typed := strings.ReplaceAll(item("a")+", "+item("b"), `"apiVersion":"v1","kind":"ConfigMap",`, "")
	for name, data := range map[string]string{
		"documents":              "---\n# first\n---\n" + toYAML(t, item("a")) + "---\n" + toYAML(t, item("b")) + "---\n",
		"documents of a Windows": strings.ReplaceAll(toYAML(t, item("a"))+"---\n"+toYAML(t, item("b")), "\n", "\r\n"),
		"documents that end":     toYAML(t, item("a")) + "...\n--- # more\n" + toYAML(t, item("b")),
		"a List":                 `{"apiVersion":"v1","kind":"List","metadata":{},"items":[` + item("a") + "," + item("b") + "]}",
		"a typed List":           `{"apiVersion":"v1","kind":"ConfigMapList","items":[` + typed + "]}",
		"a List in YAML":         toYAML(t, `{"apiVersion":"v1","kind":"List","items":[`+item("a")+","+item("b")+"]}"),
		"JSON one after another": item("a") + "\n" + item("b"),
		"JSON between markers":   item("a") + "\n---\n" + item("b"),
		"a byte order mark":      "\ufeff" + toYAML(t, item("a")) + "---\n" + toYAML(t, item("b")),
	} {
		t.Run(name, func(t *testing.T) {
			s := parseGood(t, data)
			for _, name := range []string{"a", "b"} {
				if got := configMap(t, s, name).Data["k"]; got != "\U0001f600/" {
					t.Errorf("%s holds %q", name, got)
				}
			}
		})
	}
}

func toYAML(t *testing.T, text string) string {
	t.Helper()
	data, err := yaml.JSONToYAML([]byte(text))
	if err != nil {
		// Surrogate pairs are JSON's alone.
		data, err = yaml.JSONToYAML([]byte(strings.ReplaceAll(text, `\ud83d\ude00\/`, "\U0001f600/")))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestValuesAreReadAsKubectlReadsThem compares with the library that kubectl
// turns YAML into JSON with.
func TestValuesAreReadAsKubectlReadsThem(t *testing.T) {
	for _, value := range []string{
		"yes", "On", "n", "'yes'", "true", "True", "~", "null", "Null", "''", "7", "-0", "0x1F", "0o17", "017", "1_000",
		"0b11", "1e3", "1.50", ".5", "12345678901234567890", "9223372036854775807", "2026-01-01", "2026-01-01T00:00:00Z",
		"1.2", `"1.2"`, "1.2.3", "!!str 7", "!!int \"7\"", "|\n  a\n  b", ">-\n  a\n  b", "[1, yes, ~]", "{yes: no}", "{1: a}",
		"a: b", "{<<: {a: 1}, b: 2}", "=", "<<", "0.1", "1E400", "-.inf", "!!binary aGk=", "\u00e9", "- x\n- {y: z}",
	} {
		t.Run(value, func(t *testing.T) {
			document := "value: " + value + "\n"
			if strings.Contains(value, "\n") && value[0] == '-' || value == "a: b" {
				document = "value:\n  " + strings.ReplaceAll(value, "\n", "\n  ") + "\n"
			}
			got, err := manifest.ToJSON([]byte(document))
			want, wantErr := yaml.YAMLToJSONStrict([]byte(document))
			if err != nil {
				if wantErr != nil || value == "!!binary aGk=" {
					return
				}
				t.Fatalf("refused: %v, want %s", err, want)
			}
			if wantErr != nil {
				t.Fatalf("got %s, want %v", got, wantErr)
			}
			var a, b any
			if err := json.Unmarshal(got, &a); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(want, &b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b, a); diff != "" {
				t.Errorf("differs from kubectl: %s", diff)
			}
		})
	}
}

func TestOtherKindsAreCounted(t *testing.T) {
	set, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec: {a: 1, a: 2}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: of-another-group}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: a}
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [a]
---
image: {tag: "1"}
---
[a, b]
---
apiVersion: v1
kind: List
items: [{apiVersion: v1, kind: Pod, metadata: {name: a}}, {apiVersion: apps/v1, kind: Deployment, metadata: {name: b}}]
`)}})
	if len(problems) > 0 || len(set.Keys()) > 0 {
		t.Fatalf("problems %v, objects %v", problems, set.Keys())
	}
	want := map[string]int{
		"Deployment.apps": 2, "Gateway.networking.istio.io": 1, "UDPRoute.gateway.networking.k8s.io": 1,
		"Kustomization.kustomize.config.k8s.io": 1, "(no kind)": 2, "Pod": 1,
	}
	if diff := cmp.Diff(want, set.Ignored()); diff != "" {
		t.Error(diff)
	}
}

func TestEachObjectKnowsItsPlace(t *testing.T) {
	data := "# head\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n\n---\n\napiVersion: v1\nkind: List\n" +
		"items:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: b}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n"
	set, problems := manifest.Parse([]manifest.File{{Path: "dir/a.yaml", Data: []byte(data)}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for _, row := range []struct {
		name                 string
		document, item, line int
	}{{"a", 1, -1, 3}, {"b", 3, 0, 13}, {"c", 3, 1, 16}} {
		object, found := set.Get(gwapi.KeyOf(gwapi.KindConfigMap, "default", row.name))
		if !found || object.File != "dir/a.yaml" || object.Document != row.document || object.Item != row.item ||
			object.Line != row.line {
			t.Errorf("%s: %+v, want %+v", row.name, object, row)
		}
	}
	documents := manifest.Documents([]byte(data))
	if len(documents) != 4 {
		t.Fatalf("%d documents", len(documents))
	}
	if got := data[documents[1].Start:documents[1].End]; got != "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" {
		t.Errorf("document 1 is %q", got)
	}
	if documents[3].Line != 8 || documents[3].End != len(data) {
		t.Errorf("document 3 is %+v", documents[3])
	}
}

func TestADocumentThatDidNotChangeIsNotReadAgain(t *testing.T) {
	object := func(name, value string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\ndata: {k: " + value + "}\n"
	}
	bad := "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\ndatta: {}\n"
	first := manifest.ParseFile(manifest.File{Path: "a.yaml", Data: []byte(object("a", "x") + object("b", "x") + bad)})
	data := "# two\n# lines\n" + bad + object("b", "x") + object("a", "y")
	next := first.Next(manifest.File{Path: "a.yaml", Data: []byte(data)})
	fresh := manifest.ParseFile(manifest.File{Path: "a.yaml", Data: []byte(data)})
	if first.Objects[1].Value != next.Objects[1].Value {
		t.Error("b was read again")
	}
	for i, object := range fresh.Objects {
		if diff := cmp.Diff(object, next.Objects[i]); diff != "" {
			t.Errorf("object %d differs from one that is read afresh: %s", i, diff)
		}
	}
	if diff := cmp.Diff(fresh.Problems, next.Problems); diff != "" {
		t.Error(diff)
	}
	if first.Problems[0].Line == next.Problems[0].Line {
		t.Error("the problem did not move")
	}
}

func TestTheSystemRootsAreTheEmbeddedOnesUnlessAFileGivesThem(t *testing.T) {
	name := manifest.SystemRootsName
	embedded, found := parseGood(t, "").ConfigMaps.Get(name)
	if !found || strings.Count(embedded.Data[manifest.SystemRootsKey], "BEGIN CERTIFICATE") < 100 {
		t.Fatalf("%d bytes", len(embedded.Data[manifest.SystemRootsKey]))
	}
	given, _ := parseGood(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: system-roots, namespace: backendtls-system}\n"+
		"data: {ca.crt: mine}\n").ConfigMaps.Get(name)
	if given.Data[manifest.SystemRootsKey] != "mine" {
		t.Error("the file's roots are not used")
	}
	set, _ := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: system-roots, namespace: backendtls-system}\ndatta: {}\n")}})
	s := set.Snapshot()
	broken, _ := s.ConfigMaps.Get(name)
	if len(broken.Data) != 0 || s.Faults[gwapi.KeyOf(gwapi.KindConfigMap, name.Namespace, name.Name)] == "" {
		t.Error("invalid roots fall back on the embedded ones")
	}
}

func TestReadDirSaysWhatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	for path, content := range map[string]string{
		"b.yaml": "b", "a.yml": "a", "sub/c.json": "c", "d.txt": "d", ".hidden.yaml": "e", ".backendtls/status/f.yaml": "f",
	} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{"sub/up": "..", "again": "sub", "link.yaml": "d.txt"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files, err := manifest.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, file := range files {
		relative, _ := filepath.Rel(dir, file.Path)
		got = append(got, relative+"="+string(file.Data))
	}
	if want := "[a.yml=a b.yaml=b link.yaml=d sub/c.json=c]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	one, err := manifest.ReadDir(filepath.Join(dir, "b.yaml"))
	if err != nil || len(one) != 1 || string(one[0].Data) != "b" {
		t.Errorf("a single file: %v, %v", one, err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "none"): "/none: no such file or directory",
		"/dev/null":                "/dev/null: is no regular file",
	} {
		if _, err := manifest.ReadDir(path); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := os.Symlink("loop.yaml", filepath.Join(dir, "loop.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.ReadDir(dir); err == nil || !strings.Contains(err.Error(), "loop.yaml: too many levels of symbolic links") {
		t.Errorf("got %v", err)
	}
}
