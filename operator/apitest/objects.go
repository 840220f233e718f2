package apitest

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
)

// BundleVersion is the release of the Gateway API that New installs.
const BundleVersion = "v1.7.0"

const bundleAnnotation = "gateway.networking.k8s.io/bundle-version"

// Config is how to reach the server. Content is JSON, which is all it speaks.
func (s *Server) Config() *rest.Config {
	return &rest.Config{
		Host: s.http.URL, QPS: -1,
		ContentType: runtime.ContentTypeJSON,
	}
}

// Scheme has the types of all kinds but CustomResourceDefinition.
func (s *Server) Scheme() *runtime.Scheme { return s.scheme }

func newScheme(t testing.TB) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, gatewayv1.Install, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatalf("scheme: %v", err)
		}
	}
	return scheme
}

// Client is a client without a cache.
func (s *Server) Client() client.Client {
	s.t.Helper()
	c, err := client.New(s.Config(), client.Options{Scheme: s.Scheme()})
	if err != nil {
		s.t.Fatalf("client: %v", err)
	}
	return c
}

// Put stores objects, status included, as they are given: it creates them or
// replaces what is there. Identity, generation and version are the server's;
// a uid, a creation time and a generation that a new object has are kept.
func (s *Server) Put(objects ...client.Object) {
	s.t.Helper()
	for _, object := range objects {
		k, content := s.understand(object)
		s.mu.Lock()
		s.put(k, content)
		s.mu.Unlock()
	}
}

// Delete removes objects by their names; one that is not there fails the test.
func (s *Server) Delete(objects ...client.Object) {
	s.t.Helper()
	for _, object := range objects {
		k, content := s.understand(object)
		s.mu.Lock()
		_, err := s.remove(k, nameOf(content))
		s.mu.Unlock()
		if err != nil {
			s.t.Fatalf("delete: %v", err)
		}
	}
}

// Get reads the object that has the name of this one into it, and says whether
// there is one.
func (s *Server) Get(object client.Object) bool {
	s.t.Helper()
	k, content := s.understand(object)
	found, err := s.get(k, nameOf(content))
	if err != nil {
		return false
	}
	data, err := json.Marshal(found.Object)
	if err == nil {
		err = json.Unmarshal(data, object)
	}
	if err != nil {
		s.t.Fatalf("%s %s: %v", k.name, nameOf(content), err)
	}
	return true
}

// understand finds the kind of an object and its content.
func (s *Server) understand(object client.Object) (*kind, *unstructured.Unstructured) {
	s.t.Helper()
	gvk, err := apiutil.GVKForObject(object, s.Scheme())
	if err != nil {
		s.t.Fatalf("%T: %v", object, err)
	}
	k := kindOf(gvk)
	if k == nil {
		s.t.Fatalf("%s is not known here", gvk)
	}
	data, err := json.Marshal(object)
	if err != nil {
		s.t.Fatalf("%T: %v", object, err)
	}
	content := &unstructured.Unstructured{Object: map[string]any{}}
	if err := jsonUnmarshal(data, &content.Object); err != nil {
		s.t.Fatalf("%T: %v", object, err)
	}
	unstructured.RemoveNestedField(content.Object, "metadata", "resourceVersion")
	return k, content
}

// jsonUnmarshal gives whole numbers as int64, as clients of Kubernetes do.
func jsonUnmarshal(data []byte, into *map[string]any) error { return utiljson.Unmarshal(data, into) }

// Install makes the server serve a kind of the Gateway API or ours, given as
// its resource (plural), and stores its CustomResourceDefinition with the
// bundle version; none if "".
func (s *Server) Install(resource, bundleVersion string) {
	s.t.Helper()
	k := s.customKind(resource)
	definition := &unstructured.Unstructured{Object: map[string]any{}}
	definition.SetName(k.definition())
	if bundleVersion != "" && k.group == gatewayGroup {
		definition.SetAnnotations(map[string]string{bundleAnnotation: bundleVersion})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(definitions(), definition)
}

// Uninstall takes a kind away, with its objects: it is answered 404 then.
func (s *Server) Uninstall(resource string) {
	s.t.Helper()
	k := s.customKind(resource)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, object := range sorted(s.tables[k].objects) {
		if _, err := s.remove(k, nameOf(object)); err != nil {
			s.t.Fatalf("uninstall %s: %v", resource, err)
		}
	}
	if _, err := s.remove(definitions(), types.NamespacedName{Name: k.definition()}); err != nil {
		s.t.Fatalf("uninstall %s: %v", resource, err)
	}
}

func (s *Server) customKind(resource string) *kind {
	s.t.Helper()
	k := findKind(func(k *kind) bool { return k.custom() && k.resource == strings.ToLower(resource) })
	if k == nil {
		s.t.Fatalf("no kind of ours or of the Gateway API has the resource %q", resource)
	}
	return k
}

func definitions() *kind { return kindOfResource(crdGroup, "v1", "customresourcedefinitions") }

// served says whether a kind is there.
func (s *Server) served(k *kind) bool {
	if !k.custom() {
		return true
	}
	_, err := s.get(definitions(), types.NamespacedName{Name: k.definition()})
	return err == nil
}

// Definition is the CustomResourceDefinition of a kind by its resource
// (plural), as far as clients of metadata see it; nil where there is none.
func (s *Server) Definition(resource string) *metav1.PartialObjectMetadata {
	s.t.Helper()
	object, err := s.get(definitions(), types.NamespacedName{Name: s.customKind(resource).definition()})
	if err != nil {
		return nil
	}
	found := &metav1.PartialObjectMetadata{}
	data, err := json.Marshal(shape(object, true))
	if err == nil {
		err = json.Unmarshal(data, found)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", resource, err)
	}
	return found
}
