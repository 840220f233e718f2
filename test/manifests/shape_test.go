package manifests_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/manifest"
)

const base = "../../manifests"

// kustomizations are everything that can be applied, by what it is.
func kustomizations(t *testing.T) map[string]string {
	t.Helper()
	components, err := filepath.Glob(base + "/components/*")
	if err != nil || len(components) == 0 {
		t.Fatalf("no components: %v", err)
	}
	all := map[string]string{"base": base}
	for _, dir := range components {
		all[filepath.Base(dir)] = dir
	}
	return all
}

// foreign are kinds of CRDs that other projects install: no Go types here.
var foreign = []string{"monitoring.coreos.com"}

func TestEveryManifestParsesStrictly(t *testing.T) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, apiextensionsv1.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(known, serializer.EnableStrict).UniversalDeserializer()
	for name, dir := range kustomizations(t) {
		for _, object := range render(t, dir) {
			if slices.Contains(foreign, object.GroupVersionKind().Group) {
				continue
			}
			text, err := object.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := strict.Decode(text, nil, nil); err != nil {
				t.Errorf("%s: %s %s: %v", name, object.GetKind(), object.GetName(), err)
			}
		}
	}
}

// TestNothingIsAnObjectOfACRDThatIsInstalledHere: otherwise the first apply
// would end in an error, because the CRD is not served yet.
func TestNothingIsAnObjectOfACRDThatIsInstalledHere(t *testing.T) {
	var installed []schema.GroupKind
	rendered := render(t, base)
	for _, crd := range each[apiextensionsv1.CustomResourceDefinition](t, rendered) {
		installed = append(installed, schema.GroupKind{Group: crd.Spec.Group, Kind: crd.Spec.Names.Kind})
	}
	if len(installed) != 1 {
		t.Fatalf("the manifests install %v, want one CRD", installed)
	}
	for _, object := range rendered {
		if kind := object.GroupVersionKind().GroupKind(); slices.Contains(installed, kind) {
			t.Errorf("%s %s is of a CRD that is installed in the same apply", kind, object.GetName())
		}
	}
}

func TestEverythingIsLabelledAndInTheOperatorsNamespaceOrInNone(t *testing.T) {
	for name, dir := range kustomizations(t) {
		for _, object := range render(t, dir) {
			if got := object.GetLabels()["app.kubernetes.io/part-of"]; got != "backendtls" {
				t.Errorf("%s: %s %s has label part-of=%q", name, object.GetKind(), object.GetName(), got)
			}
			if namespace := object.GetNamespace(); namespace != "" && namespace != "backendtls-system" {
				t.Errorf("%s: %s %s is in namespace %q", name, object.GetKind(), object.GetName(), namespace)
			}
		}
	}
}

func TestTheNamespaceEnforcesPodSecurityRestricted(t *testing.T) {
	namespace := only[corev1.Namespace](t, render(t, base))
	for _, mode := range []string{"enforce", "audit", "warn"} {
		if got := namespace.Labels["pod-security.kubernetes.io/"+mode]; got != "restricted" {
			t.Errorf("%s is %q, want restricted", mode, got)
		}
	}
}

// TestTheXDSCAIsShippedEmpty: data in the manifest would be taken away from, or
// written over, what the operator keeps there.
func TestTheXDSCAIsShippedEmpty(t *testing.T) {
	secret := only[corev1.Secret](t, render(t, base))
	if secret.Name != "backendtls-xds-ca" || secret.Data != nil || secret.StringData != nil {
		t.Errorf("want an empty Secret backendtls-xds-ca, got %s with %d keys", secret.Name, len(secret.Data))
	}
}

func TestWhatIsGeneratedIsCurrent(t *testing.T) {
	read := func(path string) []byte {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	crd := read("../../internal/manifest/crds/backendtls.dev_gatewayparameters.yaml")
	if !bytes.Equal(read(base+"/01-crd.yaml"), crd) {
		t.Error("manifests/01-crd.yaml differs from the generated CRD: make generate")
	}
	var shipped corev1.ConfigMap
	if err := yaml.UnmarshalStrict(read(base+"/system-roots.yaml"), &shipped); err != nil {
		t.Fatal(err)
	}
	embedded := manifest.SystemRoots().DeepCopy()
	embedded.UID = ""
	if diff := cmp.Diff(embedded, &shipped); diff != "" {
		t.Errorf("manifests/system-roots.yaml differs from golang.org/x/crypto/x509roots: make generate\n%s", diff)
	}
}

// TestEveryObjectFitsIntoTheAnnotationOfAClientSideApply: kubectl apply keeps
// the whole object in an annotation, of which there may be 256 KiB.
func TestEveryObjectFitsIntoTheAnnotationOfAClientSideApply(t *testing.T) {
	for _, object := range render(t, base) {
		text, err := json.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}
		if limit := 256 << 10; len(text) > limit-1024 {
			t.Errorf("%s %s has %d bytes, more than kubectl apply can take (%d)",
				object.GetKind(), object.GetName(), len(text), limit)
		}
	}
}
