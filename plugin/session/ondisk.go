package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/view"
)

// onDisk makes a draft in the files that the World was read from.
type onDisk struct {
	world *collect.World
	files []edit.File
}

// stage makes the change in memory and reads the files so changed as the
// operator would. An error says why the files cannot be changed, or would not
// be read any more.
func (m *onDisk) stage(_ context.Context, p *Plan) (*collect.World, error) {
	// What a policy refers to is written before the policy, so that it never
	// refers to what is not there.
	if p.configMap != nil {
		key := gwapi.KeyOf(gwapi.KindConfigMap, p.configMap.Namespace, p.configMap.Name)
		bundle := func(content []byte, at manifest.Object) ([]byte, error) {
			return edit.BundleIn(content, at, p.configMap)
		}
		if err := m.put(key, p.configMap, bundle); err != nil {
			return nil, err
		}
	}
	if err := m.put(p.key(), p.after, p.edit.In); err != nil {
		return nil, err
	}
	changed := make([]manifest.File, len(m.files))
	for i, file := range m.files {
		changed[i] = manifest.File{Path: file.Path, Data: file.After}
	}
	next := m.world.With(changed)
	for _, problem := range next.Problems {
		known := func(known manifest.Problem) bool { return sameProblem(known, problem) }
		if !slices.ContainsFunc(m.world.Problems, known) && !(p.closing && problem.Object == p.key()) {
			return nil, fmt.Errorf("the change is refused, because of what would follow: %w", problem)
		}
	}
	return next, nil
}

// sameProblem compares what is wrong; lines move when text above them changes.
func sameProblem(a, b manifest.Problem) bool {
	return a.File == b.File && a.Class == b.Class && a.Object == b.Object &&
		(a.Message == b.Message || a.Class == manifest.Duplicate)
}

// put puts an object into the file where it stands, or into a new one.
func (m *onDisk) put(
	key gwapi.Key, object metav1.Object, change func(content []byte, at manifest.Object) ([]byte, error),
) error {
	places := m.world.Set.Places(key)
	switch len(places) {
	case 0:
		return m.putNew(key, object)
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
	file := m.file(at.File)
	after, err := change(file.After, at)
	if err != nil {
		return fmt.Errorf("%s: %s: %w", at.Place(), key, err)
	}
	file.After = after
	return nil
}

// file is the staged file of that path, as it was read if nothing was staged.
func (m *onDisk) file(path string) *edit.File {
	for i := range m.files {
		if m.files[i].Path == path {
			return &m.files[i]
		}
	}
	content, _ := m.world.Content(path)
	m.files = append(m.files, edit.File{Path: path, Before: content, After: content})
	return &m.files[len(m.files)-1]
}

// putNew gives a created object a file of its own, or, where there is a file
// of that name, a document at its end.
func (m *onDisk) putNew(key gwapi.Key, object metav1.Object) error {
	content, err := document(object)
	if err != nil {
		return err
	}
	path := filepath.Join(m.world.Directory(), key.Name+".backendtls.yaml")
	if _, read := m.world.Content(path); !read {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s exists, but -f %s does not read it: use -f %s, or move that file",
				path, m.world.Source, m.world.Directory())
		}
		m.files = append(m.files, edit.File{Path: path, After: content})
		return nil
	}
	file := m.file(path)
	after := slices.Clone(file.After)
	if len(after) > 0 && after[len(after)-1] != '\n' {
		after = append(after, '\n')
	}
	file.After = slices.Concat(after, []byte("---\n"), content)
	return nil
}

// changes says whether any file would change.
func (m *onDisk) changes() bool {
	return slices.ContainsFunc(m.files, func(file edit.File) bool {
		return file.Before == nil || string(file.Before) != string(file.After)
	})
}

// written names the files that change, as a person finds them.
func (m *onDisk) written() string {
	var names []string
	for _, file := range m.files {
		if file.Before == nil || string(file.Before) != string(file.After) {
			names = append(names, file.Path)
		}
	}
	if len(names) == 0 {
		return m.files[len(m.files)-1].Path
	}
	return strings.Join(names, " and ")
}

// policyAt is the file of the policy, which is the last one staged.
func (m *onDisk) policyAt() string { return m.files[len(m.files)-1].Path }

// configMapAt is the file of the ConfigMap, which is the first one staged.
func (m *onDisk) configMapAt() string { return m.files[0].Path }

func (m *onDisk) caution(*Plan, *view.Change) error { return nil }

func (m *onDisk) write(context.Context, *Plan) error { return edit.Write(m.files) }

// text is the document of an object that is one by itself, as it stands in its
// file after the change; "" for one in a List, or in JSON.
func (m *onDisk) text(p *Plan, key gwapi.Key) string {
	places := p.next.Set.Places(key)
	if len(places) != 1 || places[0].Item >= 0 {
		return ""
	}
	content, _ := p.next.Content(places[0].File)
	documents := manifest.Documents(content)
	if places[0].Document >= len(documents) {
		return ""
	}
	document := documents[places[0].Document]
	text := string(content[document.Start:document.End])
	if first, rest, found := strings.Cut(text, "\n"); found && strings.TrimSpace(first) == "---" {
		text = rest
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") || strings.HasPrefix(text, "---") {
		return ""
	}
	return strings.TrimRight(text, "\r\n") + "\n"
}
