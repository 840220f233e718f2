package manifests_test

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/backendtls/backendtls/test/manifests"
)

func render(t *testing.T, dir string) manifests.Rendered {
	t.Helper()
	rendered, err := manifests.Render(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(rendered) == 0 {
		t.Fatalf("%s renders nothing", dir)
	}
	return rendered
}

// each are the rendered objects of a type.
func each[T any](t *testing.T, rendered manifests.Rendered) []T {
	t.Helper()
	var found []T
	for _, object := range rendered.Of(kindOf[T]()) {
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
			t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
		}
		found = append(found, typed)
	}
	return found
}

// only is the one rendered object of a type.
func only[T any](t *testing.T, rendered manifests.Rendered) T {
	t.Helper()
	found := each[T](t, rendered)
	if len(found) != 1 {
		t.Fatalf("%d objects of kind %s, want one", len(found), kindOf[T]())
	}
	return found[0]
}

// kindOf is the kind whose Go type is T: the types of k8s.io/api are named so.
func kindOf[T any]() string { return reflect.TypeFor[T]().Name() }
