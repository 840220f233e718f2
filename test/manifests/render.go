package manifests

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Rendered are the objects of a kustomization, in the order in which kubectl
// applies them.
type Rendered []*unstructured.Unstructured

// Render renders the kustomization in dir as `kubectl kustomize` does.
func Render(dir string) (Rendered, error) {
	return RenderIn(filesys.MakeFsOnDisk(), dir)
}

// RenderIn renders the kustomization in dir of a file system.
func RenderIn(files filesys.FileSystem, dir string) (Rendered, error) {
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	resources, err := krusty.MakeKustomizer(options).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", dir, err)
	}
	var objects Rendered
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", resource.CurId(), err)
		}
		object, err := Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", resource.CurId(), err)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// Parse reads one object.
func Parse(text []byte) (*unstructured.Unstructured, error) {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &object.Object); err != nil {
		return nil, err
	}
	return object, nil
}

// Of are the objects of a kind.
func (r Rendered) Of(kind string) Rendered {
	var some Rendered
	for _, object := range r {
		if object.GetKind() == kind {
			some = append(some, object)
		}
	}
	return some
}
