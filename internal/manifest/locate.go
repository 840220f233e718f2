package manifest

import (
	"strconv"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// locate is the line of the field at a path such as
// spec.rules[0].filters[1].type, or of the nearest thing above it that is
// written down: the field may be missing, or a default. Keys may contain dots
// and stand with or without brackets, so that the longest key that fits wins.
func locate(root *yaml.Node, path string) int {
	line := root.Line
	for node := root; node != nil; {
		path = strings.TrimPrefix(path, ".")
		var next *yaml.Node
		var at int
		switch {
		case node.Kind == yaml.AliasNode:
			next, at = node.Alias, line
		case path == "":
		case node.Kind == yaml.MappingNode:
			next, at, path = step(node, path)
		case node.Kind == yaml.SequenceNode:
			next, path = index(node, path)
			if next != nil {
				at = next.Line
			}
		}
		if next != nil {
			line = at
		}
		node = next
	}
	return line
}

// step goes down to the value whose key starts the path.
func step(node *yaml.Node, path string) (value *yaml.Node, line int, rest string) {
	longest := -1
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		after, ok := cutKey(path, key)
		if ok && len(key) > longest {
			longest = len(key)
			value, line, rest = node.Content[i+1], node.Content[i].Line, after
		}
	}
	return value, line, rest
}

func cutKey(path, key string) (rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, "["+key+"]"); ok {
		return rest, true
	}
	rest, ok = strings.CutPrefix(path, key)
	return rest, ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func index(node *yaml.Node, path string) (value *yaml.Node, rest string) {
	text, found := strings.CutPrefix(path, "[")
	if !found {
		return nil, path
	}
	number, rest, found := strings.Cut(text, "]")
	i, err := strconv.Atoi(number)
	if !found || err != nil || i < 0 || i >= len(node.Content) {
		return nil, path
	}
	return node.Content[i], rest
}
