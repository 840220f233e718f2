package inplace

import (
	"bytes"
	"encoding/json"
	"slices"
)

// kind is what a node is.
type kind uint8

const (
	scalar kind = iota
	mapping
	sequence
	alias
)

// node is a value and where it stands. Offsets are in bytes.
type node struct {
	kind kind
	// start is where the value begins, its anchor and tag included; end is
	// after its last character, for a literal or folded scalar the start of the
	// line after it. Both are the same for a value that is left out.
	start, end int
	// flow says that a collection is in brackets, as all are in JSON.
	flow bool
	// column is that of a block mapping's keys or a block sequence's dashes,
	// from 0.
	column int
	// null says that the value is null, written or left out.
	null bool
	// literal says that a scalar is a literal or folded one.
	literal bool
	entries []entry
	items   []*node
}

// entry is a key of a mapping with its value.
type entry struct {
	// name is "" for a merge key, and for one that is no scalar.
	name  string
	start int
	value *node
}

// tree is a parsed document.
type tree struct {
	*node
	json bool
}

// entry is the mapping's entry of that name, nil if it has none.
func (n *node) entry(name string) *entry {
	i := slices.IndexFunc(n.entries, func(e entry) bool { return e.name == name })
	if i < 0 || n.kind != mapping {
		return nil
	}
	return &n.entries[i]
}

// bare says that a mapping has no entries: there is no line to follow.
func (n *node) bare() bool { return len(n.entries) == 0 }

// object is the root, or the item of the List that it is.
func (t tree) object(item int) (*node, error) {
	object := t.node
	if item != NoList {
		items := t.entry("items")
		if items == nil || items.value.kind != sequence || item >= len(items.value.items) {
			return nil, uneditable("the List has no such item")
		}
		object = items.value.items[item]
	}
	if object.kind != mapping || object.bare() {
		return nil, uneditable("the object is no mapping of its own")
	}
	return object, nil
}

// leaves calls yield for every scalar and alias below.
func (n *node) leaves(yield func(*node)) {
	switch n.kind {
	case scalar, alias:
		yield(n)
	case mapping:
		for _, e := range n.entries {
			e.value.leaves(yield)
		}
	case sequence:
		for _, item := range n.items {
			item.leaves(yield)
		}
	}
}

// last is the last value of a block collection, down to the bottom.
func (n *node) last() *node {
	switch {
	case n.flow || n.kind == scalar || n.kind == alias:
		return n
	case len(n.entries) > 0:
		return n.entries[len(n.entries)-1].value.last()
	case len(n.items) > 0:
		return n.items[len(n.items)-1].last()
	default:
		return n
	}
}

// parse reads a document: JSON where it is JSON, else YAML.
func parse(text []byte) (tree, error) {
	if json.Valid(text) {
		reader := jsonReader{text: text, decoder: json.NewDecoder(bytes.NewReader(text))}
		reader.decoder.UseNumber()
		root, err := reader.value()
		return tree{node: root, json: true}, err
	}
	root, err := parseYAML(text)
	return tree{node: root}, err
}

// jsonReader builds a tree of JSON.
type jsonReader struct {
	text    []byte
	decoder *json.Decoder
}

// next is the next token and where it begins.
func (r *jsonReader) next() (json.Token, int, error) {
	start := int(r.decoder.InputOffset())
	for start < len(r.text) && bytes.IndexByte([]byte(" \t\r\n,:"), r.text[start]) >= 0 {
		start++
	}
	token, err := r.decoder.Token()
	return token, start, err
}

func (r *jsonReader) value() (*node, error) {
	token, start, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &node{start: start, null: token == nil}
	switch token {
	case json.Delim('{'):
		n.kind, n.flow = mapping, true
		err = r.entries(n)
	case json.Delim('['):
		n.kind, n.flow = sequence, true
		err = r.items(n)
	}
	n.end = int(r.decoder.InputOffset())
	return n, err
}

func (r *jsonReader) entries(n *node) error {
	for r.decoder.More() {
		key, start, err := r.next()
		if err != nil {
			return err
		}
		value, err := r.value()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		n.entries = append(n.entries, entry{name: name, start: start, value: value})
	}
	_, err := r.decoder.Token()
	return err
}

func (r *jsonReader) items(n *node) error {
	for r.decoder.More() {
		value, err := r.value()
		if err != nil {
			return err
		}
		n.items = append(n.items, value)
	}
	_, err := r.decoder.Token()
	return err
}
