package apitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// create answers a POST.
func (s *store) create(k *kind, namespace string, body []byte) (*unstructured.Unstructured, error) {
	object, err := decode(body)
	if err != nil {
		return nil, err
	}
	if k.namespaced {
		object.SetNamespace(namespace)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if object.GetName() == "" && object.GetGenerateName() != "" {
		s.uids++
		object.SetName(fmt.Sprintf("%s%05d", object.GetGenerateName(), s.uids))
	}
	if _, exists := s.tables[k].objects[nameOf(object)]; exists {
		return nil, apierrors.NewAlreadyExists(groupResource(k), object.GetName())
	}
	object.SetUID("")
	object.SetGeneration(0)
	object.SetCreationTimestamp(metav1.Time{})
	if k.status {
		delete(object.Object, "status")
	}
	return s.put(k, object), nil
}

// update answers a PUT of an object or of its status.
func (s *store) update(k *kind, name types.NamespacedName, subresource string, body []byte,
) (*unstructured.Unstructured, error) {
	object, err := decode(body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.find(k, name)
	if err != nil {
		return nil, err
	}
	if err := expect(k, was, object.GetUID(), object.GetResourceVersion()); err != nil {
		return nil, err
	}
	return s.put(k, part(k, subresource, was, object)), nil
}

// part is the object after a write to it or to its subresource: writers of the
// one do not touch the other.
func part(k *kind, subresource string, was, object *unstructured.Unstructured) *unstructured.Unstructured {
	to, from := object, was
	if subresource == "status" {
		to, from = was.DeepCopy(), object
	} else if !k.status {
		return object
	}
	if status, found := from.Object["status"]; found {
		to.Object["status"] = status
	} else {
		delete(to.Object, "status")
	}
	return to
}

// expect is an error where a writer meant another object or version.
func expect(k *kind, was *unstructured.Unstructured, uid types.UID, version string) error {
	if uid != "" && uid != was.GetUID() {
		return apierrors.NewConflict(groupResource(k), was.GetName(), fmt.Errorf(
			"precondition failed: UID in precondition: %s, UID in object meta: %s", uid, was.GetUID()))
	}
	if version != "" && version != was.GetResourceVersion() {
		return apierrors.NewConflict(groupResource(k), was.GetName(), errors.New(
			"the object has been modified; please apply your changes to the latest version and try again"))
	}
	return nil
}

// patch answers a PATCH.
func (s *store) patch(k *kind, r Request) (*unstructured.Unstructured, error) {
	name := types.NamespacedName{Namespace: r.Namespace, Name: r.Name}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.find(k, name)
	switch {
	case r.PatchType == types.ApplyPatchType:
		return s.apply(k, r, name, was)
	case err != nil:
		return nil, err
	case r.PatchType != types.MergePatchType:
		return nil, &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType,
			Reason:  metav1.StatusReasonUnsupportedMediaType,
			Message: fmt.Sprintf("patches of type %q are not known here", r.PatchType),
		}}
	}
	change, err := decode(r.Body)
	if err != nil {
		return nil, err
	}
	if err := expect(k, was, change.GetUID(), change.GetResourceVersion()); err != nil {
		return nil, err
	}
	object := was.DeepCopy()
	merge(object.Object, change.Object)
	return s.put(k, part(k, r.Subresource, was, object)), nil
}

// apply is server-side apply where nobody conflicts: fields are set, and those
// that the same manager applied before and no longer does are removed. Lists
// are taken whole.
func (s *store) apply(k *kind, r Request, name types.NamespacedName, was *unstructured.Unstructured,
) (*unstructured.Unstructured, error) {
	wanted, err := decode(r.Body)
	if err != nil {
		return nil, err
	}
	if r.FieldManager == "" {
		return nil, apierrors.NewBadRequest("fieldManager is required for apply patch")
	}
	t := s.tables[k]
	object := &unstructured.Unstructured{Object: map[string]any{}}
	if was != nil {
		if err := expect(k, was, wanted.GetUID(), wanted.GetResourceVersion()); err != nil {
			return nil, err
		}
		object = was.DeepCopy()
	}
	manager := r.FieldManager + "/" + r.Subresource
	if last := t.applied[name][manager]; last != nil {
		prune(object.Object, last.Object, wanted.Object)
	}
	merge(object.Object, wanted.DeepCopy().Object)
	if k.namespaced {
		object.SetNamespace(name.Namespace)
	}
	object.SetName(name.Name)
	claim(object, r)
	if was == nil {
		if k.status {
			delete(object.Object, "status")
		}
	} else {
		object = part(k, r.Subresource, was, object)
	}
	if t.applied[name] == nil {
		t.applied[name] = map[string]*unstructured.Unstructured{}
	}
	t.applied[name][manager] = wanted
	return s.put(k, object), nil
}

// claim notes who applied.
func claim(object *unstructured.Unstructured, r Request) {
	entries := object.GetManagedFields()
	for _, entry := range entries {
		if entry.Manager == r.FieldManager && entry.Subresource == r.Subresource {
			return
		}
	}
	object.SetManagedFields(append(entries, metav1.ManagedFieldsEntry{
		Manager: r.FieldManager, Operation: metav1.ManagedFieldsOperationApply, Subresource: r.Subresource,
		APIVersion: object.GetAPIVersion(),
	}))
}

// merge is RFC 7386.
func merge(into, change map[string]any) {
	for field, value := range change {
		if value == nil {
			delete(into, field)
			continue
		}
		inner, isMap := value.(map[string]any)
		if !isMap {
			into[field] = value
			continue
		}
		to, isMap := into[field].(map[string]any)
		if !isMap {
			to = map[string]any{}
		}
		merge(to, inner)
		into[field] = to
	}
}

// prune removes from live what was in last and is not in wanted.
func prune(live, last, wanted map[string]any) {
	for field, value := range last {
		now, kept := wanted[field]
		inner, isMap := value.(map[string]any)
		liveInner, liveIsMap := live[field].(map[string]any)
		switch {
		case isMap && liveIsMap:
			nowInner, _ := now.(map[string]any)
			prune(liveInner, inner, nowInner)
			if len(liveInner) == 0 && !kept {
				delete(live, field)
			}
		case !kept && reflect.DeepEqual(live[field], value):
			delete(live, field)
		}
	}
}

// delete answers a DELETE.
func (s *store) delete(k *kind, name types.NamespacedName, body []byte) (*unstructured.Unstructured, error) {
	var options metav1.DeleteOptions
	if len(body) > 0 {
		if err := json.Unmarshal(body, &options); err != nil {
			return nil, apierrors.NewBadRequest(err.Error())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was, err := s.find(k, name)
	if err != nil {
		return nil, err
	}
	if p := options.Preconditions; p != nil {
		var uid types.UID
		var version string
		if p.UID != nil {
			uid = *p.UID
		}
		if p.ResourceVersion != nil {
			version = *p.ResourceVersion
		}
		if err := expect(k, was, uid, version); err != nil {
			return nil, err
		}
	}
	return s.remove(k, name)
}

func decode(body []byte) (*unstructured.Unstructured, error) {
	object := map[string]any{}
	if err := yaml.Unmarshal(body, &object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return normal(object)
}

// normal gives an object the number types that JSON of Kubernetes has, so that
// equal objects compare as equal wherever they came from.
func normal(object map[string]any) (*unstructured.Unstructured, error) {
	data, err := json.Marshal(object)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	result := &unstructured.Unstructured{Object: map[string]any{}}
	if err := jsonUnmarshal(data, &result.Object); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return result, nil
}

func groupResource(k *kind) schema.GroupResource {
	return schema.GroupResource{Group: k.group, Resource: k.resource}
}
