package session

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
)

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
		for _, field := range [...]string{"creationTimestamp", "generation", "uid", "resourceVersion", "managedFields"} {
			delete(metadata, field)
		}
		if annotations, found := metadata["annotations"].(map[string]any); found {
			delete(annotations, corev1.LastAppliedConfigAnnotation)
			if len(annotations) == 0 {
				delete(metadata, "annotations")
			}
		}
	}
	return yaml.Marshal(fields)
}

// render is the policy, after the ConfigMap that it needs, as YAML: as it stands
// in the file, with the comments of its author.
func (p *Plan) render() (string, error) {
	policy, err := p.rendered(p.key(), p.after)
	if err != nil || p.configMap == nil {
		return policy, err
	}
	configMap, err := p.rendered(gwapi.KeyOf(gwapi.KindConfigMap, p.configMap.Namespace, p.configMap.Name), p.configMap)
	return configMap + "---\n" + policy, err
}

func (p *Plan) rendered(key gwapi.Key, object metav1.Object) (string, error) {
	if text := p.medium.text(p, key); text != "" {
		return text, nil
	}
	content, err := document(object)
	return string(content), err
}

// JSON is the resulting policy.
func (p *Plan) JSON() (string, error) {
	content, err := document(p.after)
	if err != nil {
		return "", err
	}
	compact, err := yaml.YAMLToJSON(content)
	if err != nil {
		return "", err
	}
	indented, err := json.MarshalIndent(json.RawMessage(compact), "", "    ")
	return string(indented) + "\n", err
}
