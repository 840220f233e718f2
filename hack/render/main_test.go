package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestInstallYAMLHoldsEverythingInAnOrderThatCanBeApplied renders what people
// install.
func TestInstallYAMLHoldsEverythingInAnOrderThatCanBeApplied(t *testing.T) {
	var out bytes.Buffer
	if err := render(&out, "../../manifests"); err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for document := range strings.SplitSeq(out.String(), "\n---\n") {
		var object unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, object.GetKind())
	}
	if len(kinds) < 2 || kinds[0] != "Namespace" || kinds[1] != "CustomResourceDefinition" {
		t.Errorf("it begins with %v, want the namespace and the CRD", kinds[:min(2, len(kinds))])
	}
	for _, kind := range []string{"Deployment", "Service", "Secret", "ConfigMap", "NetworkPolicy", "GatewayClass"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("it has no %s, but %v", kind, kinds)
		}
	}
	if account, deployment := slices.Index(kinds, "ServiceAccount"), slices.Index(kinds, "Deployment"); account > deployment {
		t.Error("the ServiceAccount comes after the pods that need it")
	}
}

func TestADirectoryWithoutAKustomizationIsAnError(t *testing.T) {
	var out bytes.Buffer
	if err := render(&out, t.TempDir()); err == nil || out.Len() > 0 {
		t.Errorf("got %v and %d bytes, want an error and nothing", err, out.Len())
	}
}
