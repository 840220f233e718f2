package session

import (
	"fmt"
	"strings"

	"github.com/aymanbagabas/go-udiff"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/backendtls/backendtls/plugin/edit"
)

// nowhere is the label of what does not exist yet, as diff has it.
const nowhere = "/dev/null"

// difference is what changes in the texts of the files, comments included.
func (m *onDisk) difference(*Plan) (string, error) {
	var text strings.Builder
	for _, file := range m.files {
		before := file.Path
		if file.Before == nil {
			before = nowhere
		}
		text.WriteString(udiff.Unified(before, file.Path, string(file.Before), string(file.After)))
	}
	return text.String(), nil
}

// difference is what changes in the manifests of the objects.
func (m *onServer) difference(p *Plan) (string, error) {
	var text strings.Builder
	if p.configMap != nil && (m.bundle != nil || m.trim != nil) {
		var before metav1.Object
		for _, patch := range [...]*edit.Patch{m.bundle, m.trim} {
			if patch != nil && patch.Live != nil {
				live := &corev1.ConfigMap{}
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(patch.Live.Object, live); err != nil {
					return "", fmt.Errorf("%s: %w", patch, err)
				}
				before = live
			}
		}
		if err := differ(&text, "configmap/"+p.configMap.Name, before, p.configMap); err != nil {
			return "", err
		}
	}
	var before metav1.Object
	if !p.created {
		before = p.policy
	}
	err := differ(&text, "btlspolicy/"+p.policy.Name, before, p.after)
	return text.String(), err
}

// differ appends what changes in an object, which is nil before it exists.
func differ(text *strings.Builder, name string, before, after metav1.Object) error {
	from, old := nowhere, []byte(nil)
	if before != nil {
		var err error
		if old, err = document(before); err != nil {
			return err
		}
		from = name
	}
	current, err := document(after)
	if err != nil {
		return err
	}
	text.WriteString(udiff.Unified(from, name, string(old), string(current)))
	return nil
}
