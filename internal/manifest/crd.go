package manifest

import (
	"embed"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

//go:generate ../../hack/generate

// crds are what hack/generate copies from the Gateway API's module (standard
// channel) and generates from internal/api.
//
//go:embed crds/*.yaml
var crds embed.FS

// served is one version of a CRD, ready to check objects.
type served struct {
	structural *schema.Structural
	validator  validation.SchemaCreateValidator
	rules      *cel.Validator
}

// schemas holds for each CRD and version a function that compiles it at its
// first use: compiling costs up to a second and never has another result.
var schemas = lazySchemas()

type schemaKey struct{ group, plural, version string }

func lazySchemas() map[schemaKey]func() (*served, error) {
	lazy := map[schemaKey]func() (*served, error){}
	for i := range definitions {
		d := &definitions[i]
		if d.plural == "" {
			continue
		}
		for _, version := range d.versions {
			lazy[schemaKey{d.group, d.plural, version}] = sync.OnceValues(func() (*served, error) {
				return compile(d.group, d.plural, version)
			})
		}
	}
	return lazy
}

// schema is nil for a kind without a CRD.
func (d *definition) schema(version string) (*served, error) {
	load, found := schemas[schemaKey{d.group, d.plural, version}]
	if !found {
		return nil, nil //nolint:nilnil // Documented.
	}
	return load()
}

func compile(group, plural, version string) (*served, error) {
	data, err := crds.ReadFile("crds/" + group + "_" + plural + ".yaml")
	if err != nil {
		return nil, err
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return nil, fmt.Errorf("crd %s.%s: %w", plural, group, err)
	}
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == version && v.Served
	})
	if i < 0 {
		return nil, fmt.Errorf("crd %s.%s does not serve %s", plural, group, version)
	}
	var properties apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crd.Spec.Versions[i].Schema.OpenAPIV3Schema, &properties, nil); err != nil {
		return nil, fmt.Errorf("crd %s.%s: %w", plural, group, err)
	}
	structural, err := schema.NewStructural(&properties)
	if err != nil {
		return nil, fmt.Errorf("crd %s.%s: %w", plural, group, err)
	}
	validator, _, err := validation.NewSchemaValidator(&properties)
	if err != nil {
		return nil, fmt.Errorf("crd %s.%s: %w", plural, group, err)
	}
	rules := cel.NewValidator(structural, true, ruleBudget)
	return &served{structural: structural, validator: validator, rules: rules}, nil
}
