package inplace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// meaning is what a document means to whoever reads it. The text has to come to
// the meaning that is wanted: what was spliced may mean more than it says,
// behind an anchor that others use, or in a text that this package misreads.
type meaning struct {
	json bool
	root any
	// object is the one that is changed, a part of root.
	object map[string]any
	// odd is a key that is no text beside one that is changed, "" if there is none.
	odd string
}

func read(text []byte, item int) (*meaning, error) {
	m := &meaning{json: json.Valid(text)}
	var err error
	if m.root, err = decode(text, m.json); err != nil {
		return nil, err
	}
	root, _ := m.root.(map[string]any)
	m.object = root
	if item != NoList {
		items, _ := root["items"].([]any)
		if item >= len(items) {
			return nil, uneditable("the List has no such item")
		}
		m.object, _ = items[item].(map[string]any)
	}
	if m.object == nil {
		return nil, uneditable("the object is no mapping of strings")
	}
	return m, nil
}

// decode reads a document into maps, lists and values. Every alias is read
// anew, so that nothing is shared.
func decode(text []byte, isJSON bool) (value any, err error) {
	if isJSON {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		err = decoder.Decode(&value)
	} else {
		err = yaml.Unmarshal(text, &value)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the document again: %w", err)
	}
	return value, nil
}

// make changes the object, and says whether that changed anything.
func (m *meaning) make(path []string, value Value) bool {
	last := len(path) - 1
	holders := []map[string]any{m.object}
	for _, name := range path[:last] {
		inner, found := holders[len(holders)-1][name].(map[string]any)
		if !found {
			if value == nil {
				return false
			}
			m.odd = oddKey(path, holders[len(holders)-1][name])
			inner = map[string]any{}
			holders[len(holders)-1][name] = inner
		}
		holders = append(holders, inner)
	}
	holder, name := holders[last], path[last]
	old, found := holder[name]
	if value != nil {
		holder[name] = value.plain()
		return !found || !reflect.DeepEqual(old, holder[name])
	}
	delete(holder, name)
	if found && len(holder) == 0 && last > 0 {
		delete(holders[last-1], path[last-1])
	}
	return found
}

// oddKey is a key of a mapping on the path that is no text, as path.KEY, "" if it
// has none.
func oddKey(path []string, value any) string {
	mapping, odd := value.(map[any]any)
	if !odd {
		return ""
	}
	for key := range mapping {
		if _, text := key.(string); !text {
			return strings.Join(path[:len(path)-1], ".") + "." + fmt.Sprint(key)
		}
	}
	return ""
}

// check makes sure that a text means just that.
func (m *meaning) check(text []byte) error {
	if m.odd != "" {
		return uneditable("%s is a key that YAML reads as a number, a truth value or a date, not as text; put it in quotes",
			m.odd)
	}
	got, err := decode(text, m.json)
	if err != nil {
		return uneditable("an anchor, alias or tag stands in the way (%v)", err)
	}
	if !reflect.DeepEqual(m.root, got) {
		return uneditable("an anchor, alias or merge key stands in the way; write out what it stands for")
	}
	return nil
}
