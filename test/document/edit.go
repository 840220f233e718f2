package document

import (
	"maps"
	"slices"
)

// What an edit does to the value that it comes to, where it can be done: a key of
// an object goes, an item of a list is there twice. Every other number has a word
// take the place of the value.
const (
	Remove = 1
	Double = 2
)

// Words appends the keys and values of a document, in its order.
func Words(words []any, value any) []any {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			words = append(Words(words, v[key]), key)
		}
	case []any:
		for _, item := range v {
			words = Words(words, item)
		}
	default:
		words = append(words, v)
	}
	return words
}

// Clone is a copy that shares nothing with the document.
func Clone(value any) any {
	switch v := value.(type) {
	case map[string]any:
		copied := make(map[string]any, len(v))
		for key, item := range v {
			copied[key] = Clone(item)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, item := range v {
			copied[i] = Clone(item)
		}
		return copied
	default:
		return v
	}
}

// Edit changes the value that is so many steps into the document, in place, and
// returns the document, which may be another one at step 0. Past the end it
// changes nothing.
func Edit(document any, steps int, word any, how byte) any {
	return edit(document, &steps, word, how)
}

func edit(value any, steps *int, word any, how byte) any {
	*steps--
	if *steps < 0 {
		return word
	}
	switch v := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if *steps == 0 && how == Remove {
				*steps--
				delete(v, key)
				return v
			}
			if v[key] = edit(v[key], steps, word, how); *steps < 0 {
				return v
			}
		}
	case []any:
		for i := range v {
			if *steps == 0 && how == Double {
				*steps--
				return append(v, Clone(v[i]))
			}
			if v[i] = edit(v[i], steps, word, how); *steps < 0 {
				return v
			}
		}
	}
	return value
}
