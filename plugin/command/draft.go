package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	// ports are those that the change is about.
	ports []collect.Port
	// policy is as it is now, or, where created, what to start from.
	policy  *gatewayv1.BackendTLSPolicy
	created bool
	// closing says that the change only ever tightens: nothing else that is
	// wrong with the policy may stand in its way.
	closing bool
	edit    edit.Edit
	// configMap is to be written with the policy; nil for none.
	configMap *corev1.ConfigMap

	// after, files and next are what preview makes of it.
	after *gatewayv1.BackendTLSPolicy
	files []edit.File
	next  *collect.World
}

func (d *draft) key() gwapi.Key { return policyKey(d.policy) }

// preview makes the change in memory, reads the files so changed as the
// operator would, and lets the operator's own Build decide. An error says why
// the files cannot be changed, or would not be read any more.
func (d *draft) preview() error {
	d.after = d.edit.Apply(d.policy)
	// What a policy refers to is written before the policy, so that it never
	// refers to what is not there.
	if d.configMap != nil {
		key := gwapi.KeyOf(gwapi.KindConfigMap, d.configMap.Namespace, d.configMap.Name)
		if err := d.stage(key, d.configMap, d.editConfigMap); err != nil {
			return err
		}
	}
	if err := d.stage(d.key(), d.after, d.edit.In); err != nil {
		return err
	}
	changed := make([]manifest.File, len(d.files))
	for i, file := range d.files {
		changed[i] = manifest.File{Path: file.Path, Data: file.After}
	}
	d.next = d.world.With(changed)
	for _, problem := range d.next.Problems {
		known := func(known manifest.Problem) bool { return sameProblem(known, problem) }
		if !slices.ContainsFunc(d.world.Problems, known) && !(d.closing && problem.Object == d.key()) {
			return fmt.Errorf("the change is refused, because of what would follow: %w", problem)
		}
	}
	return nil
}

// sameProblem compares what is wrong; lines move when text above them changes.
func sameProblem(a, b manifest.Problem) bool {
	return a.File == b.File && a.Class == b.Class && a.Object == b.Object &&
		(a.Message == b.Message || a.Class == manifest.Duplicate)
}

// stage puts an object into the file where it stands, or into a new one.
func (d *draft) stage(
	key gwapi.Key, object metav1.Object, change func(content []byte, at manifest.Object) ([]byte, error),
) error {
	places := d.world.Set.Places(key)
	switch len(places) {
	case 0:
		return d.stageNew(key, object)
	case 1:
	default:
		named := make([]string, len(places))
		for i, place := range places {
			named[i] = place.Place()
		}
		return fmt.Errorf("%s is given %d times, in %s: keep one of them first",
			key, len(places), strings.Join(named, " and "))
	}
	at := places[0]
	file := d.file(at.File)
	after, err := change(file.After, at)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", at.Place(), key, err)
	}
	file.After = after
	return nil
}

// file is the staged file of that path, as it was read if nothing was staged.
func (d *draft) file(path string) *edit.File {
	for i := range d.files {
		if d.files[i].Path == path {
			return &d.files[i]
		}
	}
	content, _ := d.world.Content(path)
	d.files = append(d.files, edit.File{Path: path, Before: content, After: content})
	return &d.files[len(d.files)-1]
}

// stageNew gives a created object a file of its own, or, where there is a file
// of that name, a document at its end.
func (d *draft) stageNew(key gwapi.Key, object metav1.Object) error {
	content, err := document(object)
	if err != nil {
		return err
	}
	path := filepath.Join(d.world.Directory(), key.Name+".backendtls.yaml")
	if _, read := d.world.Content(path); !read {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s exists, but -f %s does not read it: use -f %s, or move that file",
				path, d.world.Source, d.world.Directory())
		}
		d.files = append(d.files, edit.File{Path: path, After: content})
		return nil
	}
	file := d.file(path)
	after := slices.Clone(file.After)
	if len(after) > 0 && after[len(after)-1] != '\n' {
		after = append(after, '\n')
	}
	file.After = slices.Concat(after, []byte("---\n"), content)
	return nil
}

func (d *draft) editConfigMap(content []byte, at manifest.Object) ([]byte, error) {
	return edit.BundleIn(content, at, d.configMap)
}

// changes says whether any file would change.
func (d *draft) changes() bool {
	return slices.ContainsFunc(d.files, func(file edit.File) bool {
		return file.Before == nil || string(file.Before) != string(file.After)
	})
}

// written names the files that change, as a person finds them.
func (d *draft) written() string {
	var names []string
	for _, file := range d.files {
		if file.Before == nil || string(file.Before) != string(file.After) {
			names = append(names, file.Path)
		}
	}
	if len(names) == 0 {
		return d.files[len(d.files)-1].Path
	}
	return strings.Join(names, " and ")
}

// enforced is what the operator would check on a port after the change, as the
// policy is written; nil where it would refuse the policy, which fault says.
func (d *draft) enforced(port collect.Port) (trust *model.Trust, fault string) {
	next, found := d.next.Port(port.Key())
	switch {
	case !found:
		return nil, service(port) + " is not there any more"
	case next.Strict.Policy == nil || next.Strict.Policy.Written == nil:
		return nil, d.plain(next.Strict.Fault)
	default:
		return next.Strict.Policy.Written, ""
	}
}

// plain is a fault without the name of the policy in front, which everybody
// knows here.
func (d *draft) plain(fault string) string { return strings.TrimPrefix(fault, d.key().String()+": ") }

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
