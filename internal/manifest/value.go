package manifest

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// converter makes of YAML nodes what kubectl would send to an API server:
// maps, slices, strings, bools, int64 and float64. One converter serves one
// file, whose aliases share one allowance.
type converter struct {
	// values and text are the size of the present object, limit is the most values
	// that it may have.
	values, text, limit  int
	aliased, aliasedText int
}

func (c *converter) object(node *yaml.Node, limit int) (map[string]any, error) {
	c.values, c.text, c.limit = 0, 0, limit
	value, err := c.value(node, 0, false)
	if err != nil {
		return nil, err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, faultf(node.Line, "is no object")
	}
	return object, nil
}

func (c *converter) value(node *yaml.Node, depth int, aliased bool) (any, error) {
	if depth > maxDepth {
		return nil, faultf(node.Line, "values are nested more than %d deep", maxDepth)
	}
	if err := c.count(node, aliased); err != nil {
		return nil, err
	}
	switch node.Kind {
	case yaml.AliasNode:
		return c.value(node.Alias, depth+1, true)
	case yaml.MappingNode:
		return c.mapping(node, depth, aliased)
	case yaml.SequenceNode:
		list := make([]any, 0, len(node.Content))
		for _, child := range node.Content {
			value, err := c.value(child, depth+1, aliased)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case yaml.ScalarNode:
		return scalar(node)
	default:
		return nil, faultf(node.Line, "is no value")
	}
}

// count adds a value or a key to what was seen, and refuses what is too much.
func (c *converter) count(node *yaml.Node, aliased bool) error {
	c.values++
	c.text += len(node.Value)
	if aliased {
		c.aliased++
		c.aliasedText += len(node.Value)
	}
	switch {
	case c.values > c.limit:
		return faultf(node.Line, "the object holds more than %d values; split it", c.limit)
	case c.aliased > maxAliased:
		return faultf(node.Line, "aliases stand for more than %d values; write them out", maxAliased)
	case c.aliasedText > maxAliasedText:
		return faultf(node.Line, "aliases stand for more than %d MiB of text; write it out", maxAliasedText>>20)
	case c.text > maxObjectText:
		return faultf(node.Line, "the object holds more than %d MiB of text; split it", maxObjectText>>20)
	}
	return nil
}

func (c *converter) mapping(node *yaml.Node, depth int, aliased bool) (map[string]any, error) {
	object := make(map[string]any, len(node.Content)/2)
	var merged []map[string]any
	for i := 0; i+1 < len(node.Content); i += 2 {
		keyNode, valueNode := node.Content[i], node.Content[i+1]
		if keyNode.Kind == yaml.ScalarNode && keyNode.ShortTag() == "!!merge" {
			maps, err := c.merge(valueNode, depth+1, aliased)
			if err != nil {
				return nil, err
			}
			merged = append(merged, maps...)
			continue
		}
		if err := c.count(keyNode, aliased); err != nil {
			return nil, err
		}
		name, err := keyName(keyNode)
		if err != nil {
			return nil, err
		}
		if _, exists := object[name]; exists {
			return nil, faultf(keyNode.Line, "the key %q is given twice", name)
		}
		if object[name], err = c.value(valueNode, depth+1, aliased); err != nil {
			return nil, err
		}
	}
	// YAML's merge key type: keys of the mapping itself win, then the first.
	for _, from := range merged {
		for name, value := range from {
			if _, exists := object[name]; !exists {
				object[name] = value
			}
		}
	}
	return object, nil
}

// merge reads the value of a merge key: one mapping, or a list of them.
func (c *converter) merge(node *yaml.Node, depth int, aliased bool) ([]map[string]any, error) {
	value, err := c.value(node, depth, aliased)
	if err != nil {
		return nil, err
	}
	values, ok := value.([]any)
	if !ok {
		values = []any{value}
	}
	maps := make([]map[string]any, 0, len(values))
	for _, value := range values {
		from, ok := value.(map[string]any)
		if !ok {
			return nil, faultf(node.Line, "the merge key << needs a mapping or a list of mappings")
		}
		maps = append(maps, from)
	}
	return maps, nil
}

func keyName(node *yaml.Node) (string, error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.ScalarNode {
		return "", faultf(node.Line, "a key must be a string")
	}
	value, err := scalar(node)
	if err != nil {
		return "", err
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	case int64:
		return strconv.FormatInt(value, 10), nil
	}
	return "", faultf(node.Line, "a key must be a string; put it in quotes")
}

// yaml11Bools are the words that YAML 1.1, and so kubectl, reads as booleans
// beside true and false. A manifest must mean here what it means there.
var yaml11Bools = map[string]bool{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
}

// isPlain says whether a scalar stands without quotes, without the marker of a
// block and without a tag, so that its words decide what it is.
func isPlain(node *yaml.Node) bool { return node.Style&^yaml.FlowStyle == 0 }

func isQuoted(node *yaml.Node) bool { return !isPlain(node) && node.Style&yaml.TaggedStyle == 0 }

func scalar(node *yaml.Node) (any, error) {
	if isQuoted(node) {
		return node.Value, nil
	}
	switch node.ShortTag() {
	case "!!null":
		return nil, nil //nolint:nilnil // null is a value.
	case "!!str":
		if value, found := yaml11Bools[node.Value]; found && isPlain(node) {
			return value, nil
		}
		return node.Value, nil
	case "!!timestamp", "!!merge":
		return node.Value, nil
	case "!!bool", "!!int", "!!float":
		return number(node)
	default:
		return nil, faultf(node.Line, "the value has a tag that is not supported; put text that begins with ! in quotes")
	}
}

// number reads what is neither text nor null; integers beyond 64 bits become
// floats, as they do in an API server. No message holds the value, nor anything
// else that stands where a value does: it may be a password.
func number(node *yaml.Node) (any, error) {
	var value any
	if err := node.Decode(&value); err != nil {
		return nil, faultf(node.Line, "the value is none of the tag %s", node.ShortTag())
	}
	switch value := value.(type) {
	case bool:
		return value, nil
	case int:
		return int64(value), nil
	case int64:
		return value, nil
	case uint64:
		return float64(value), nil
	case float64:
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return nil, faultf(node.Line, "the value is no number that JSON has; put text in quotes")
		}
		return value, nil
	}
	return nil, faultf(node.Line, "the value is none of the tag %s", node.ShortTag())
}

// canonical is one JSON form of equal values.
func canonical(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		// Only what scalar makes is in there, and all of it can be written.
		return nil
	}
	return slices.Clip(data)
}
