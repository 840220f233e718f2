package apiservertest

import (
	"encoding/json"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/yaml"
)

// write creates or patches.
func (s *Server) write(request Request, at key, served resource) (any, error) {
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(request.Body), &object.Object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	var after *unstructured.Unstructured
	var err error
	switch {
	case request.Verb == "create":
		at.name = object.GetName()
		if _, exists := s.objects[at]; exists {
			return nil, apierrors.NewAlreadyExists(schema.GroupResource{Group: at.group, Resource: at.resource}, at.name)
		}
		after, err = s.managed(served, nil, object, request.FieldManager)
	case request.ContentType == string(types.ApplyPatchType):
		if err := s.precondition(at, object); err != nil {
			return nil, err
		}
		after, err = s.applied(served, at, object, request.FieldManager, request.Force)
	case request.ContentType == string(types.MergePatchType):
		after, err = s.merged(served, at, request)
	default:
		return nil, apierrors.NewBadRequest("unknown patch type " + request.ContentType)
	}
	if err != nil {
		return nil, err
	}
	if s.Admit != nil {
		if err := s.Admit(after); err != nil {
			return nil, err
		}
	}
	return s.commit(at, after, request.DryRun)
}

// precondition compares uid and resourceVersion, if given, with the live object.
func (s *Server) precondition(at key, object *unstructured.Unstructured) error {
	resource := schema.GroupResource{Group: at.group, Resource: at.resource}
	live, exists := s.objects[at]
	switch {
	case !exists && object.GetUID() != "":
		return apierrors.NewConflict(resource, at.name, fmt.Errorf("uid mismatch: no existing object was found"))
	case !exists:
		return nil
	case object.GetUID() != "" && object.GetUID() != live.GetUID():
		return apierrors.NewConflict(resource, at.name, fmt.Errorf("precondition failed: UID"))
	case object.GetResourceVersion() != "" && object.GetResourceVersion() != live.GetResourceVersion():
		return apierrors.NewConflict(resource, at.name, fmt.Errorf("the object has been modified; "+
			"please apply your changes to the latest version and try again"))
	default:
		return nil
	}
}

func (s *Server) merged(served resource, at key, request Request) (*unstructured.Unstructured, error) {
	live, exists := s.objects[at]
	if !exists {
		return nil, notFound(at)
	}
	patch := map[string]any{}
	if err := json.Unmarshal([]byte(request.Body), &patch); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	after := live.DeepCopy()
	merge(after.Object, patch)
	if err := s.precondition(at, after); err != nil {
		return nil, err
	}
	return s.managed(served, live, after, request.FieldManager)
}

// merge is RFC 7386.
func merge(object, patch map[string]any) {
	for name, value := range patch {
		below, nested := value.(map[string]any)
		switch {
		case value == nil:
			delete(object, name)
		case nested:
			into, found := object[name].(map[string]any)
			if !found {
				into = map[string]any{}
				object[name] = into
			}
			merge(into, below)
		default:
			object[name] = value
		}
	}
}

// store is an update, or a create, without precondition.
func (s *Server) store(
	served resource, at key, object *unstructured.Unstructured, manager string, dryRun bool,
) (any, error) {
	live := s.objects[at]
	if live != nil {
		object.SetUID(live.GetUID())
		object.SetCreationTimestamp(live.GetCreationTimestamp())
	}
	after, err := s.managed(served, live, object, manager)
	if err != nil {
		return nil, err
	}
	return s.commit(at, after, dryRun)
}

// managed notes who owns what after an update.
func (s *Server) managed(
	served resource, live, after *unstructured.Unstructured, manager string,
) (*unstructured.Unstructured, error) {
	fields, err := fieldManager(served)
	if err != nil {
		return nil, err
	}
	before := &unstructured.Unstructured{Object: map[string]any{}}
	before.SetGroupVersionKind(served.gvk())
	if live != nil {
		before = live.DeepCopy()
		after.SetManagedFields(live.GetManagedFields())
	}
	updated, ok := fields.UpdateNoErrors(before, after, manager).(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s is no object", served.kind)
	}
	return updated, nil
}

// applied is server-side apply.
func (s *Server) applied(
	served resource, at key, object *unstructured.Unstructured, manager string, force bool,
) (*unstructured.Unstructured, error) {
	fields, err := fieldManager(served)
	if err != nil {
		return nil, err
	}
	live, exists := s.objects[at]
	before := &unstructured.Unstructured{Object: map[string]any{}}
	before.SetGroupVersionKind(served.gvk())
	if exists {
		before = live.DeepCopy()
	}
	after, err := fields.Apply(before, object, manager, force)
	if err != nil {
		return nil, err
	}
	result, ok := after.(*unstructured.Unstructured)
	if !ok {
		return nil, fmt.Errorf("%s is no object", served.kind)
	}
	return result, nil
}

// commit gives the object its version and stores it, if it is not only tried.
func (s *Server) commit(at key, after *unstructured.Unstructured, dryRun bool) (any, error) {
	live, exists := s.objects[at]
	after.SetNamespace(at.namespace)
	switch {
	case !exists:
		after.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version+1)))
		after.SetGeneration(1)
		after.SetCreationTimestamp(metav1.Unix(1700000000, 0))
	case equality.Semantic.DeepEqual(live.Object["spec"], after.Object["spec"]):
		after.SetGeneration(live.GetGeneration())
	default:
		after.SetGeneration(live.GetGeneration() + 1)
	}
	if exists && same(live, after) {
		return live.Object, nil
	}
	if dryRun {
		return after.Object, nil
	}
	s.stored(at, after)
	return after.DeepCopy().Object, nil
}

// same says whether nothing but the time of an entry of managedFields differs:
// then the API server stores nothing.
func same(live, after *unstructured.Unstructured) bool {
	timeless := func(object *unstructured.Unstructured) map[string]any {
		stripped := object.DeepCopy()
		entries := stripped.GetManagedFields()
		for i := range entries {
			entries[i].Time = nil
		}
		stripped.SetManagedFields(entries)
		return maps.Clone(stripped.Object)
	}
	return equality.Semantic.DeepEqual(timeless(live), timeless(after))
}

// fieldManager is the one of the API server. The types are deduced from the
// objects: mappings by key, lists as a whole, as BackendTLSPolicy's schema has
// the fields that the plugin writes.
func fieldManager(served resource) (*managedfields.FieldManager, error) {
	kind := served.gvk()
	return managedfields.NewDefaultCRDFieldManager(
		managedfields.NewDeducedTypeConverter(), plain{}, plain{}, plain{}, kind, kind.GroupVersion(), "", nil,
	)
}

// plain converts, defaults and creates objects of one version without defaults.
type plain struct{}

func (plain) Convert(_, _, _ any) error { return nil }

func (plain) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (plain) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

func (plain) Default(runtime.Object) {}

func (plain) New(kind schema.GroupVersionKind) (runtime.Object, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object, nil
}
