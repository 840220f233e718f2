package edit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// The kinds that this package writes in a cluster.
var (
	Policies = schema.GroupVersionKind{
		Group: gatewayv1.GroupName, Version: gatewayv1.GroupVersion.Version, Kind: "BackendTLSPolicy",
	}
	ConfigMaps = corev1.SchemeGroupVersion.WithKind("ConfigMap")
)

// Field is one field of an object. A write sets it, or removes it where Value
// is nil.
type Field struct {
	Path  []string
	Value any
}

// name is the field as people know it.
func (f Field) name() string { return f.Path[len(f.Path)-1] }

// in is the value of the field in an object.
func (f Field) in(object *unstructured.Unstructured) (any, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(object.Object, f.Path...)
	return value, found && err == nil
}

// Patch is the change of one object in a cluster. It names every field that it
// touches.
type Patch struct {
	// Live is the object from which the change was made, with its managedFields;
	// nil for one that is created.
	Live *unstructured.Unstructured
	// New is the object to create where Live is nil.
	New *unstructured.Unstructured
	// Fields are what changes of Live.
	Fields []Field
}

// Patch is the change of the live policy.
func (e Edit) Patch(live *unstructured.Unstructured) Patch {
	p := Patch{Live: live}
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		field := Field{Path: []string{"spec", "options", key}}
		if value := e.Options[key]; value != nil {
			field.Value = *value
		}
		p.Fields = append(p.Fields, field)
	}
	if e.CARefs != nil {
		var references []any
		for _, reference := range e.CARefs {
			references = append(references, map[string]any{
				"group": string(reference.Group), "kind": string(reference.Kind), "name": string(reference.Name),
			})
		}
		p.Fields = append(p.Fields, Field{Path: []string{"spec", "validation", fieldCARefs}, Value: references})
	}
	if e.DropWellKnown {
		p.Fields = append(p.Fields, Field{Path: []string{"spec", "validation", fieldWellKnown}})
	}
	return p
}

// Creation is the patch that creates an object.
func Creation(kind schema.GroupVersionKind, object runtime.Object) (Patch, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return Patch{}, fmt.Errorf("writing the %s: %w", kind.Kind, err)
	}
	delete(fields, "status")
	created := &unstructured.Unstructured{Object: fields}
	unstructured.RemoveNestedField(fields, "metadata", "creationTimestamp")
	created.SetGroupVersionKind(kind)
	return Patch{New: created}, nil
}

// BundlePatches are the changes of the live ConfigMap: what the policy will
// refer to, to be written before the policy, and what it refers to now and then
// no more, to be removed after it. In between the policy always finds what it
// names.
func BundlePatches(live *unstructured.Unstructured, configMap *corev1.ConfigMap) (before, after Patch) {
	before = Patch{Live: live}
	after = Patch{Live: live}
	for _, key := range [...]string{keyCA, keyLeaf} {
		field := Field{Path: []string{"data", key}}
		if text, found := configMap.Data[key]; found {
			field.Value = text
			before.Fields = append(before.Fields, field)
			continue
		}
		after.Fields = append(after.Fields, field)
	}
	return before, after
}

// Key names the object.
func (p Patch) Key() types.NamespacedName {
	object := p.object()
	return types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
}

// Kind is the kind of the object.
func (p Patch) Kind() schema.GroupVersionKind { return p.object().GroupVersionKind() }

func (p Patch) object() *unstructured.Unstructured {
	if p.Live == nil {
		return p.New
	}
	return p.Live
}

// Changes says whether the object would change.
func (p Patch) Changes() bool {
	return p.Live == nil || slices.ContainsFunc(p.Fields, p.changes)
}

// changes says whether the live object has another value than the field will
// have.
func (p Patch) changes(field Field) bool {
	value, found := field.in(p.Live)
	return found != (field.Value != nil) || !equality.Semantic.DeepEqual(value, field.Value)
}

// Taken lists what is taken away from other managers.
func (p Patch) Taken() ([]Taken, error) {
	if p.Live == nil {
		return nil, nil
	}
	all, err := owners(p.Live)
	if err != nil {
		return nil, err
	}
	fields := map[string][]string{}
	for _, field := range p.Fields {
		if !p.changes(field) {
			continue
		}
		for _, each := range all {
			if each.manager != Manager && each.owns(field.Path) {
				fields[each.manager] = append(fields[each.manager], field.name())
			}
		}
	}
	return byManager(fields), nil
}

// Body is what is sent to an API server for a Patch.
type Body struct {
	// Type is "" for an object that is created.
	Type types.PatchType
	Data []byte
	// Force takes fields from other managers: from those that Taken names, and
	// from ourselves where we wrote a field in another way.
	Force bool
}

// Body is the request. Every one of them is refused by the API server if the
// object is not the one that was previewed any more: a patch carries its uid and
// resourceVersion, and what is created must not exist.
//
// The rule is server-side apply, so that we own just what we set. It says two
// things only: "this is what I want" and "I want no more what I applied before".
// It cannot remove a field that somebody else owns, nor one that we own in
// another way, by having created the object: left out of what is applied, such a
// field stays. Where a change has to remove one, all of it is one merge patch
// under the same manager and the same precondition: split in two, a policy would
// be in between what nobody asked for, such as pins-only without any pin.
func (p Patch) Body() (Body, error) {
	if p.Live == nil {
		data, err := json.Marshal(p.New.Object)
		return Body{Data: data}, err
	}
	all, err := owners(p.Live)
	if err != nil {
		return Body{}, err
	}
	if wanted, ok := p.applicable(all); ok {
		data, err := json.Marshal(p.configuration(wanted))
		return Body{Type: types.ApplyPatchType, Data: data, Force: p.conflicts(all)}, err
	}
	data, err := json.Marshal(p.merge())
	return Body{Type: types.MergePatchType, Data: data}, err
}

// applicable lists all that is to be applied: what the patch sets, and what we
// applied before and still want. It is not ok where an apply cannot say what
// the patch does.
func (p Patch) applicable(all []owner) (wanted []Field, ok bool) {
	touched := map[string]bool{}
	for _, field := range p.Fields {
		touched[fmt.Sprint(field.Path)] = true
		switch {
		case field.Value != nil:
			wanted = append(wanted, field)
		case !p.dropped(field, all):
			return nil, false
		}
	}
	for _, each := range all {
		if !each.ours() {
			continue
		}
		paths, plain := each.leaves()
		if !plain {
			return nil, false
		}
		for _, path := range paths {
			kept := Field{Path: path}
			value, present := kept.in(p.Live)
			if !present || touched[fmt.Sprint(path)] {
				continue
			}
			if _, whole := value.(map[string]any); whole {
				// All of a mapping: what others have put into it since would be
				// applied as ours.
				return nil, false
			}
			kept.Value = value
			wanted = append(wanted, kept)
		}
	}
	return wanted, true
}

// dropped says whether a field is gone once we apply without it: it is not
// there, or we applied it and nobody else owns it.
func (p Patch) dropped(field Field, all []owner) bool {
	if _, present := field.in(p.Live); !present {
		return true
	}
	mine := false
	for _, each := range all {
		if each.owns(field.Path) {
			if !each.ours() {
				return false
			}
			mine = true
		}
	}
	return mine
}

// conflicts says whether the API server would refuse the apply without force.
func (p Patch) conflicts(all []owner) bool {
	return slices.ContainsFunc(p.Fields, func(field Field) bool {
		return field.Value != nil && p.changes(field) && slices.ContainsFunc(all, func(each owner) bool {
			return !each.ours() && each.owns(field.Path)
		})
	})
}

// configuration is an object with the fields alone. The required fields of the
// kind need not be there: they are the live object's, and who applied them owns
// them.
func (p Patch) configuration(wanted []Field) map[string]any {
	metadata := p.precondition()
	metadata["name"] = p.Live.GetName()
	metadata["namespace"] = p.Live.GetNamespace()
	object := map[string]any{
		"apiVersion": p.Live.GetAPIVersion(), "kind": p.Live.GetKind(), "metadata": metadata,
	}
	for _, field := range wanted {
		put(object, field.Path, field.Value)
	}
	return object
}

// merge is the patch as RFC 7386 has it: null removes. A mapping of which
// nothing stays goes as a whole.
func (p Patch) merge() map[string]any {
	patch := map[string]any{"metadata": p.precondition()}
	after := p.Live.DeepCopy()
	for _, field := range p.Fields {
		put(patch, field.Path, field.Value)
		if field.Value == nil {
			unstructured.RemoveNestedField(after.Object, field.Path...)
		} else {
			put(after.Object, field.Path, field.Value)
		}
	}
	for _, parent := range [...][]string{{"spec", "options"}, {"data"}} {
		held, _, _ := unstructured.NestedMap(p.Live.Object, parent...)
		left, _, _ := unstructured.NestedMap(after.Object, parent...)
		if len(held) > 0 && len(left) == 0 {
			put(patch, parent, nil)
		}
	}
	return patch
}

func (p Patch) precondition() map[string]any {
	return map[string]any{"uid": string(p.Live.GetUID()), "resourceVersion": p.Live.GetResourceVersion()}
}

// put sets a field, nil included, and makes the mappings above it.
func put(object map[string]any, path []string, value any) {
	for _, name := range path[:len(path)-1] {
		below, found := object[name].(map[string]any)
		if !found {
			below = map[string]any{}
			object[name] = below
		}
		object = below
	}
	object[path[len(path)-1]] = value
}
