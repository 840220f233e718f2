package inplace

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Place is one object in a file.
type Place struct {
	// Start and End are the byte range of its document.
	Start, End int
	// Item is its index in the items of a List, NoList outside of one.
	Item int
}

// NoList is the Item of an object that is a document of its own.
const NoList = -1

// Change sets a field of an object, or removes it.
type Change struct {
	// Path leads to the field. Mappings that are missing on the way are made.
	Path []string
	// Value is what is written; nil removes the field, and the mapping that it
	// was in once that is empty.
	Value Value
}

// Value is what a field is set to: Text, Words or Objects.
type Value interface {
	// plain is the value as a parser reads it.
	plain() any
}

// Text is a string.
type Text string

// Words is a string of words with a blank between each. Many words are written
// on a line each where YAML allows that, so that a later change of one of them
// is a change of one line.
type Words []string

// Objects is a list of objects.
type Objects []Object

// Object is one object of string fields, in the order to write them.
type Object []Field

// Field is one field of an Object.
type Field struct{ Name, Text string }

// nested is a mapping that Apply makes on the way to a field.
type nested struct {
	name  string
	value Value
}

func (t Text) plain() any   { return string(t) }
func (w Words) plain() any  { return strings.Join(w, " ") }
func (n nested) plain() any { return map[string]any{n.name: n.value.plain()} }

func (o Objects) plain() any {
	list := make([]any, len(o))
	for i, object := range o {
		fields := make(map[string]any, len(object))
		for _, field := range object {
			fields[field.Name] = field.Text
		}
		list[i] = fields
	}
	return list
}

// ErrUneditable is wrapped by the error about text that cannot be changed
// without changing something else, such as what an anchor shares.
var ErrUneditable = errors.New("cannot be changed in place without changing something else")

// uneditable is an ErrUneditable that says why.
func uneditable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUneditable, fmt.Sprintf(format, args...))
}

// Apply makes the changes, in their order, to the object at the place. Content
// is not modified. What is as wanted already stays as it is written.
func Apply(content []byte, at Place, changes []Change) ([]byte, error) {
	text := content[at.Start:at.End]
	wanted, err := read(text, at.Item)
	if err != nil {
		return nil, err
	}
	for _, change := range changes {
		if !wanted.make(change.Path, change.Value) {
			continue
		}
		if text, err = applyOne(text, at.Item, change); err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(change.Path, "."), err)
		}
	}
	if err := wanted.check(text); err != nil {
		return nil, err
	}
	return slices.Concat(content[:at.Start], text, content[at.End:]), nil
}

// applyOne reads the text and makes one change, so that positions are always
// those of the text that is changed.
func applyOne(text []byte, item int, change Change) ([]byte, error) {
	root, err := parse(text)
	if err != nil {
		return nil, err
	}
	object, err := root.object(item)
	if err != nil {
		return nil, err
	}
	s := splicer{text: text, json: root.json, root: object, eol: lineEnd(text)}
	return s.change(object, change)
}

// change walks down to the mapping that holds the field.
func (s *splicer) change(object *node, change Change) ([]byte, error) {
	last := len(change.Path) - 1
	mappings := []*node{object}
	for i, name := range change.Path[:last] {
		holder := mappings[i]
		child := holder.entry(name)
		switch {
		case child != nil && child.value.kind == mapping && !child.value.bare():
			mappings = append(mappings, child.value)
		case child != nil && child.value.kind == alias:
			return nil, uneditable("%s is a YAML alias", name)
		case child != nil && !child.value.null && child.value.kind != mapping:
			return nil, uneditable("%s is no mapping", name)
		case change.Value == nil:
			return s.text, nil
		default:
			return s.set(holder, name, enclose(change.Path[i+1:], change.Value))
		}
	}
	holder, name := mappings[last], change.Path[last]
	switch {
	case change.Value != nil:
		return s.set(holder, name, change.Value)
	case holder.entry(name) == nil:
		return s.text, nil
	case last > 0 && len(holder.entries) == 1:
		return s.remove(mappings[last-1], change.Path[last-1])
	default:
		return s.remove(holder, name)
	}
}

// enclose is the value within the mappings that lead to it.
func enclose(path []string, value Value) Value {
	for _, name := range slices.Backward(path) {
		value = nested{name: name, value: value}
	}
	return value
}
