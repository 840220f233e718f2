package inplace_test

import (
	"bytes"
	"testing"

	"github.com/backendtls/backendtls/plugin/inplace"
)

// FuzzApply changes an option in arbitrary text. Whatever the text is, nothing
// panics and what lies around the document stays; a change that is made twice
// is made once.
func FuzzApply(f *testing.F) {
	for _, text := range []string{
		"spec:\n  options:\n    x/a: >-\n      1\n    # c\n    x/b: 'it''s' # d\n",
		"spec: {options: {x/a: 1, x/b: [a, {b: c}]}, z: \"\\\"}\"}",
		"{\n \"spec\": {\n  \"options\": {\n   \"x/a\": \"1\"\n  }\n }\n}",
		"spec:\n- options: &a !!str\n  ? x/a\n  : |+2\n     1\n\n...\n",
		"\ufeffspec:\r\n  options: # c\r\n    x/a:\r\n    \"x/b\": \"a\r\n\r\n     b\"\r\n",
		"spec:\n  options: {x/a: 1 # one\n    , x/b: 2,\n  }\n",
		"spec:\n  options:\n    <<: *a\n    x/a: *a\n",
	} {
		for which := range byte(6) {
			f.Add(text, which)
		}
	}
	f.Fuzz(func(t *testing.T, text string, which byte) {
		change := inplace.Change{Path: []string{"spec", "options", []string{"x/a", "x/b"}[which%2]}}
		switch which / 2 % 3 {
		case 1:
			change.Value = inplace.Text("new: 'one'\n# two\n")
		case 2:
			change.Value = inplace.Words{"one", "two"}
		}
		around := "\x00---\n"
		content := []byte(around + text + around)
		place := inplace.Place{Start: len(around), End: len(content) - len(around), Item: inplace.NoList}
		after, err := inplace.Apply(content, place, []inplace.Change{change})
		if err != nil {
			return
		}
		if !bytes.HasPrefix(after, []byte(around)) || !bytes.HasSuffix(after, []byte(around)) {
			t.Fatalf("%q became %q", content, after)
		}
		place.End = len(after) - len(around)
		again, err := inplace.Apply(after, place, []inplace.Change{change})
		if err != nil || !bytes.Equal(again, after) {
			t.Fatalf("%q became %q, and then %q (%v)", content, after, again, err)
		}
	})
}
