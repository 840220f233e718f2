package edit

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Policy puts the edit into the manifest that starts at or around the line of
// the file's content; of a List, into the item of that name. Every other
// document stays byte for byte, comments are kept.
func (e Edit) Policy(content []byte, line int, key gwapi.Key, isJSON bool) ([]byte, error) {
	return patch(content, line, key, isJSON, e.apply)
}

// Replace puts a whole object in the place of the one of that key, keeping
// what the file's author wrote beside the given data and labels.
func Replace(content []byte, line int, key gwapi.Key, isJSON bool, data map[string]string) ([]byte, error) {
	return patch(content, line, key, isJSON, func(object *yaml.RNode) error {
		return setAll(object, data, "data")
	})
}

func (e Edit) apply(object *yaml.RNode) error {
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		value := e.Options[key]
		if value == nil {
			if err := object.PipeE(yaml.Lookup("spec", "options"), yaml.Clear(key)); err != nil {
				return err
			}
			continue
		}
		if err := setAll(object, map[string]string{key: *value}, "spec", "options"); err != nil {
			return err
		}
	}
	if err := dropEmpty(object); err != nil {
		return err
	}
	return e.applyValidation(object)
}

// dropEmpty removes spec.options once nothing is left in it.
func dropEmpty(object *yaml.RNode) error {
	options, err := object.Pipe(yaml.Lookup("spec", "options"))
	if err != nil || options == nil || len(options.Content()) > 0 {
		return err
	}
	return object.PipeE(yaml.Lookup("spec"), yaml.Clear("options"))
}

func (e Edit) applyValidation(object *yaml.RNode) error {
	validation, err := object.Pipe(yaml.LookupCreate(yaml.MappingNode, "spec", "validation"))
	if err != nil {
		return err
	}
	if e.DropWellKnown {
		if err := validation.PipeE(yaml.Clear("wellKnownCACertificates")); err != nil {
			return err
		}
	}
	if e.CARefs == nil {
		return nil
	}
	references := yaml.NewListRNode()
	for _, reference := range e.CARefs {
		item, err := yaml.FromMap(map[string]any{
			"group": string(reference.Group), "kind": string(reference.Kind), "name": string(reference.Name),
		})
		if err != nil {
			return err
		}
		if err := references.PipeE(yaml.Append(item.YNode())); err != nil {
			return err
		}
	}
	return validation.PipeE(yaml.SetField("caCertificateRefs", references))
}

// setAll sets string fields of the mapping at path. What was written keeps its
// place and its comments.
func setAll(object *yaml.RNode, values map[string]string, path ...string) error {
	parent, err := object.Pipe(yaml.LookupCreate(yaml.MappingNode, path...))
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		scalar := yaml.NewStringRNode(values[key])
		if strings.Contains(values[key], "\n") {
			scalar.YNode().Style = yaml.LiteralStyle
		}
		if err := parent.PipeE(yaml.SetField(key, scalar)); err != nil {
			return err
		}
	}
	return nil
}

// patch finds the object and lets change at it.
func patch(
	content []byte, line int, key gwapi.Key, isJSON bool, change func(*yaml.RNode) error,
) ([]byte, error) {
	start, end := document(content, line)
	text := string(content[start:end])
	root, err := yaml.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s again: %w", key, err)
	}
	object, err := find(root, key)
	if err != nil {
		return nil, err
	}
	if err := change(object); err != nil {
		return nil, fmt.Errorf("changing %s: %w", key, err)
	}
	changed, err := encode(root, text, isJSON)
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", key, err)
	}
	return slices.Concat(content[:start], changed, content[end:]), nil
}

// document is the byte range of the YAML document that has the line (counted
// from 1), without the separators around it.
func document(content []byte, line int) (start, end int) {
	number, offset := 0, 0
	for text := range bytes.Lines(content) {
		number++
		next := offset + len(text)
		if separator(text) {
			if number > line {
				return start, offset
			}
			start = next
		}
		offset = next
	}
	return start, len(content)
}

// separator says whether a line ends a document. YAML allows that at the
// start of a line only, even within a block scalar (YAML 1.2.2, 9.1.2).
func separator(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || bytes.ContainsAny(rest[:1], " \t\r\n"))
}

// find is the object of that key: the root, or an item of the List it is.
func find(root *yaml.RNode, key gwapi.Key) (*yaml.RNode, error) {
	if is(root, key) {
		return root, nil
	}
	items, err := root.Pipe(yaml.Lookup("items"))
	if err != nil || items == nil {
		return nil, fmt.Errorf("%s is not where it was read: the file changed meanwhile, run the command again", key)
	}
	elements, err := items.Elements()
	if err != nil {
		return nil, fmt.Errorf("items of the List that holds %s: %w", key, err)
	}
	for _, element := range elements {
		if is(element, key) {
			return element, nil
		}
	}
	return nil, fmt.Errorf("%s is not in its List any more: the file changed meanwhile, run the command again", key)
}

func is(object *yaml.RNode, key gwapi.Key) bool {
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = "default"
	}
	return object.GetKind() == string(key.Kind) && object.GetName() == key.Name && namespace == key.Namespace
}

// encode writes the document as its author indents lists.
func encode(root *yaml.RNode, original string, isJSON bool) ([]byte, error) {
	if isJSON {
		compact, err := root.MarshalJSON()
		if err != nil {
			return nil, err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, compact, "", "  "); err != nil {
			return nil, err
		}
		indented.WriteByte('\n')
		return indented.Bytes(), nil
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoderWithOptions(&b, &yaml.EncoderOptions{
		SeqIndent: yaml.SequenceIndentStyle(yaml.DeriveSeqIndentStyle(original)),
	})
	if err := encoder.Encode(root.Document()); err != nil {
		return nil, err
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
