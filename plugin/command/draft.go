package command

import (
	"fmt"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// draft is a change that was decided and not made yet.
type draft struct {
	world *collect.World
	port  collect.Port
	// policy is as it is now, or, where created, what to start from.
	policy  *gatewayv1.BackendTLSPolicy
	created bool
	edit    edit.Edit
	// configMap is to be written with the policy; nil for none.
	configMap *corev1.ConfigMap

	// after and files are what preview makes of it.
	after *gatewayv1.BackendTLSPolicy
	files []edit.File
	next  *collect.World
}

func (d *draft) key() gwapi.Key {
	return gwapi.KeyOf(gwapi.KindBackendTLSPolicy, d.policy.Namespace, d.policy.Name)
}

// preview makes the change in memory, reads the files so changed as the
// operator would, and lets the operator's own Build decide. An error says why
// the files would not be read.
func (d *draft) preview() error {
	d.after = d.edit.Apply(d.policy)
	if d.configMap != nil {
		if err := d.stage(gwapi.KeyOf(gwapi.KindConfigMap, d.configMap.Namespace, d.configMap.Name),
			d.configMap, d.replaceConfigMap); err != nil {
			return err
		}
	}
	if err := d.stage(d.key(), d.after, d.editPolicy); err != nil {
		return err
	}
	changed := make([]manifest.File, len(d.files))
	for i, file := range d.files {
		changed[i] = manifest.File{Path: file.Path, Data: file.After}
	}
	d.next = d.world.With(changed)
	for _, problem := range d.next.Problems {
		if problem.Object == d.key() {
			return fmt.Errorf("the changed policy would be refused: %s", problem.Message)
		}
	}
	return nil
}

// judge refuses a change that a Gateway of ours would answer with 500.
func (d *draft) judge() error {
	port, found := d.next.Port(d.port.Key())
	if !found {
		return fmt.Errorf("svc/%s:%d is gone once the change is made", d.port.Service.Name, d.port.Spec.Port)
	}
	paths := port.Paths
	if len(paths) == 0 {
		paths = []model.Path{port.Strict}
	}
	for _, path := range paths {
		if path.FaultReason == "" || len(port.Paths) > 0 && !path.Ours {
			continue
		}
		where := "a Gateway"
		if len(port.Paths) > 0 {
			where = "gateway/" + path.Gateway.Name
		}
		return fmt.Errorf("%s would answer 500 (%s): %s", where, path.FaultReason, path.Fault)
	}
	return nil
}

// stage puts an object into the file where it stands, or into a new one.
func (d *draft) stage(
	key gwapi.Key, object metav1.Object, change func(content []byte, line int, isJSON bool) ([]byte, error),
) error {
	places := d.world.Set.Places(key)
	switch len(places) {
	case 0:
		return d.stageNew(key, object)
	case 1:
	default:
		return fmt.Errorf("%s is given %d times, first at %s: keep one", key, len(places), places[0].Place())
	}
	place := places[0]
	for i := range d.files {
		if d.files[i].Path == place.File {
			after, err := change(d.files[i].After, place.Line, isJSON(place.File))
			d.files[i].After = after
			return err
		}
	}
	before, _ := d.world.Content(place.File)
	after, err := change(before, place.Line, isJSON(place.File))
	if err != nil {
		return fmt.Errorf("%s: %w", place.Place(), err)
	}
	d.files = append(d.files, edit.File{Path: place.File, Before: before, After: after})
	return nil
}

// stageNew gives a created object a file of its own.
func (d *draft) stageNew(key gwapi.Key, object metav1.Object) error {
	content, err := document(object)
	if err != nil {
		return err
	}
	path := filepath.Join(d.world.Directory(), key.Name+".backendtls.yaml")
	for i := range d.files {
		if d.files[i].Path == path {
			d.files[i].After = append(append(d.files[i].After, "---\n"...), content...)
			return nil
		}
	}
	d.files = append(d.files, edit.File{Path: path, After: content})
	return nil
}

func (d *draft) editPolicy(content []byte, line int, isJSON bool) ([]byte, error) {
	return d.edit.Policy(content, line, d.key(), isJSON)
}

func (d *draft) replaceConfigMap(content []byte, line int, isJSON bool) ([]byte, error) {
	key := gwapi.KeyOf(gwapi.KindConfigMap, d.configMap.Namespace, d.configMap.Name)
	return edit.Replace(content, line, key, isJSON, d.configMap.Data)
}

func isJSON(path string) bool { return strings.EqualFold(filepath.Ext(path), ".json") }

// document is an object as a manifest: without status and without the fields
// that only a server sets.
func document(object metav1.Object) ([]byte, error) {
	content, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", object.GetName(), err)
	}
	var fields map[string]any
	if err := yaml.Unmarshal(content, &fields); err != nil {
		return nil, fmt.Errorf("writing %s: %w", object.GetName(), err)
	}
	delete(fields, "status")
	if metadata, found := fields["metadata"].(map[string]any); found {
		for _, field := range [...]string{"creationTimestamp", "generation", "uid", "resourceVersion"} {
			delete(metadata, field)
		}
	}
	return yaml.Marshal(fields)
}
