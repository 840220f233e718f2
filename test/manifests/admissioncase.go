package manifests

import (
	"fmt"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// AdmissionCase is one write of a BackendTLSPolicy and what the admission
// policy says to it. The cases are a file, so that the tests on a cluster put
// the same ones to a real API server.
type AdmissionCase struct {
	// Name is a sentence.
	Name string `json:"name"`
	// Allowed is the namespace's label backendtls.dev/allow-insecure-modes; nil
	// if it has none.
	Allowed *string `json:"allowed,omitempty"`
	// Before is spec.options of the policy as it was; absent: it is created.
	Before *map[string]string `json:"before,omitempty"`
	// After is spec.options as it is to be.
	After map[string]string `json:"after,omitempty"`
	// TargetsBefore and TargetsAfter are spec.targetRefs, each a Service or
	// SERVICE#SECTION; none: the Service api.
	TargetsBefore []string `json:"targetsBefore,omitempty"`
	TargetsAfter  []string `json:"targetsAfter,omitempty"`
	// Refused is a part of what the refusal says; empty: it is admitted.
	Refused string `json:"refused,omitempty"`
}

// AdmissionCases reads the cases of a file.
func AdmissionCases(path string) ([]AdmissionCase, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read admission cases: %w", err)
	}
	var cases []AdmissionCase
	if err := yaml.UnmarshalStrict(text, &cases); err != nil {
		return nil, fmt.Errorf("read admission cases of %s: %w", path, err)
	}
	return cases, nil
}

// Policies are the policy as it was, nil if there was none, and as it is to be.
func (c *AdmissionCase) Policies(namespace, name string) (before, after *unstructured.Unstructured) {
	if c.Before != nil {
		before = policyWith(namespace, name, *c.Before, c.TargetsBefore)
	}
	return before, policyWith(namespace, name, c.After, c.TargetsAfter)
}

// PolicyWith is a BackendTLSPolicy with these options, their keys without our
// prefix; without any it has no such field.
func PolicyWith(namespace, name string, options map[string]string) *unstructured.Unstructured {
	return policyWith(namespace, name, options, nil)
}

func policyWith(namespace, name string, options map[string]string, targets []string) *unstructured.Unstructured {
	if len(targets) == 0 {
		targets = []string{"api"}
	}
	var refs []any
	for _, target := range targets {
		service, section, sectioned := strings.Cut(target, "#")
		ref := map[string]any{"group": "", "kind": "Service", "name": service}
		if sectioned {
			ref["sectionName"] = section
		}
		refs = append(refs, ref)
	}
	spec := map[string]any{
		"targetRefs": refs,
		"validation": map[string]any{"hostname": "api.example.com", "wellKnownCACertificates": "System"},
	}
	if len(options) > 0 {
		full := map[string]any{}
		for key, value := range options {
			full[gwapi.Prefix+key] = value
		}
		spec["options"] = full
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "BackendTLSPolicy",
		"metadata": map[string]any{"name": name, "namespace": namespace},
		"spec":     spec,
	}}
}
