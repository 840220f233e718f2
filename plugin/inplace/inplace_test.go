package inplace_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/plugin/inplace"
)

func setOption(name, value string) inplace.Change {
	return inplace.Change{Path: []string{"spec", "options", name}, Value: inplace.Text(value)}
}

func setWords(name string, words ...string) inplace.Change {
	return inplace.Change{Path: []string{"spec", "options", name}, Value: inplace.Words(words)}
}

func drop(path ...string) inplace.Change { return inplace.Change{Path: path} }

func dropOption(name string) inplace.Change { return drop("spec", "options", name) }

func setRefs(name string) inplace.Change {
	return inplace.Change{
		Path:  []string{"spec", "validation", "caCertificateRefs"},
		Value: inplace.Objects{{{"group", ""}, {"kind", "ConfigMap"}, {"name", name}}},
	}
}

func whole(text string) inplace.Place { return inplace.Place{End: len(text), Item: inplace.NoList} }

// TestOnlyTheFieldChanges shows texts before and after; each line of the rest is
// as it was.
func TestOnlyTheFieldChanges(t *testing.T) {
	for _, test := range []struct {
		name          string
		changes       []inplace.Change
		before, after string
	}{
		{
			"a new option goes behind the last one, before what is said below it",
			[]inplace.Change{setOption("x/b", "2 3")},
			"# top\nspec:\n    options:   # mine\n        x/a: one # why\n        # not yet: x/c\n\n    other: 1\n",
			"# top\nspec:\n    options:   # mine\n        x/a: one # why\n        x/b: \"2 3\"\n" +
				"        # not yet: x/c\n\n    other: 1\n",
		},
		{
			"options are made where there are none, as deep as their neighbours",
			[]inplace.Change{setOption("x/a", "true"), setOption("x/b", "plain-Word_1")},
			"spec:\n   validation:\n      hostname: h\n---x: y\n",
			"spec:\n   validation:\n      hostname: h\n   options:\n      x/a: \"true\"\n      x/b: plain-Word_1\n---x: y\n",
		},
		{
			"empty and absent values are filled",
			[]inplace.Change{setOption("x/a", "b")},
			"spec:\n  options: {} # none yet\n  z: 1\n",
			"spec:\n  options: # none yet\n    x/a: b\n  z: 1\n",
		},
		{
			"a value that is left out is filled",
			[]inplace.Change{setOption("x/a", "b")},
			"spec:\n  options:   # none yet\n  # and a word\n  z: 1\n",
			"spec:\n  options:   # none yet\n    x/a: b\n  # and a word\n  z: 1\n",
		},
		{
			"an option that is left out is filled",
			[]inplace.Change{setOption("x/a", "b")},
			"spec:\n  options:\n    x/a:\n    x/b:   # c\n",
			"spec:\n  options:\n    x/a: b\n    x/b:   # c\n",
		},
		{
			"null is replaced",
			[]inplace.Change{setOption("x/a", "b")},
			"spec:\n  options: ~\n",
			"spec:\n  options:\n    x/a: b\n",
		},
		{
			"the author's quotes and comments stay",
			[]inplace.Change{setOption("x/a", "it's new"), setOption("x/b", "new"), setOption("x/c", "new")},
			"spec:\n  options:\n    x/a: 'old one'   # a\n    x/b: \"old\" # b\n    x/c: old # c\n",
			"spec:\n  options:\n    x/a: 'it''s new'   # a\n    x/b: \"new\" # b\n    x/c: new # c\n",
		},
		{
			"what is as wanted stays as it is written",
			[]inplace.Change{setOption("x/a", "one two"), dropOption("x/z")},
			"spec:\n  options:\n    x/a: one\n      two\n",
			"spec:\n  options:\n    x/a: one\n      two\n",
		},
		{
			"many words get a line each",
			[]inplace.Change{setWords("x/a", "one", "two"), setWords("x/b", "one")},
			"spec:\n  options:\n    x/a: three # c\n    x/b: >-\n      one\n      two\n\n    # e\n    x/c: d\n",
			"spec:\n  options:\n    x/a: >- # c\n      one\n      two\n    x/b: one\n\n    # e\n    x/c: d\n",
		},
		{
			"a value over several lines is replaced whole",
			[]inplace.Change{setOption("x/a", "b"), setOption("x/c", "d"), setOption("x/e", "f")},
			"spec:\n  options:\n    x/a: \"one\n\n      two\" # a\n    x/c: one\n      # no comment\n    x/e: |+\n      # text\n\n      x\n\n\n    z: 1",
			"spec:\n  options:\n    x/a: \"b\" # a\n    x/c: d\n      # no comment\n    x/e: f\n    z: 1",
		},
		{
			"an option is removed, and comments on their own lines stay",
			[]inplace.Change{dropOption("x/b")},
			"spec:\n  options:\n    x/a: 1\n    # about b\n    x/b: >\n      # text\n      more\n    # after\n    x/c: 2\n",
			"spec:\n  options:\n    x/a: 1\n    # about b\n    # after\n    x/c: 2\n",
		},
		{
			"with the last option options go, and comments stay",
			[]inplace.Change{dropOption("x/a")},
			"spec:\n  # why\n  options: # o\n    # about a\n    x/a: 1 # one\n    # foot\n  z: 1\n",
			"spec:\n  # why\n    # about a\n    # foot\n  z: 1\n",
		},
		{
			"a List item that begins its line with another key",
			[]inplace.Change{setOption("x/a", "b")},
			"spec: # s\n- ignored\n",
			"",
		},
		{
			"a list is replaced in the author's indentation",
			[]inplace.Change{setRefs("new"), drop("spec", "validation", "wellKnownCACertificates")},
			"spec:\n  targetRefs:\n    - name: api\n  validation:\n    caCertificateRefs: # cas\n      # the old one\n" +
				"      - name: old # o\n        kind: Secret\n    wellKnownCACertificates: System\n    hostname: h\n",
			"spec:\n  targetRefs:\n    - name: api\n  validation:\n    caCertificateRefs: # cas\n      # the old one\n" +
				"      - group: \"\"\n        kind: ConfigMap\n        name: new\n    hostname: h\n",
		},
		{
			"a list is made without indentation where others have none",
			[]inplace.Change{setRefs("new")},
			"spec:\n  targetRefs:\n  - name: api\n  validation:\n    hostname: h",
			"spec:\n  targetRefs:\n  - name: api\n  validation:\n    hostname: h\n    caCertificateRefs:\n" +
				"    - group: \"\"\n      kind: ConfigMap\n      name: new",
		},
		{
			"text of several lines is a literal scalar",
			[]inplace.Change{{Path: []string{"data", "ca.crt"}, Value: inplace.Text("-----BEGIN-----\nabc=\n-----END-----\n")}},
			"kind: ConfigMap\ndata:\n  ca.crt: \"x\" # old\n",
			"kind: ConfigMap\ndata:\n  ca.crt: | # old\n    -----BEGIN-----\n    abc=\n    -----END-----\n",
		},
		{
			"Windows line ends stay",
			[]inplace.Change{setOption("x/b", "c"), setWords("x/w", "u", "v"), dropOption("x/a")},
			"spec:\r\n  options:\r\n    x/a: 1 # one\r\n    # b\r\n  z: 1\r\n",
			"spec:\r\n  options:\r\n    x/b: c\r\n    x/w: >-\r\n      u\r\n      v\r\n    # b\r\n  z: 1\r\n",
		},
		{
			"a text without an end of its last line stays so",
			[]inplace.Change{setOption("x/b", "c")},
			"z: 1\nspec:\n  options:\n    x/a: 1",
			"z: 1\nspec:\n  options:\n    x/a: 1\n    x/b: c",
		},
		{
			"a literal scalar without an end of its last line keeps its value",
			[]inplace.Change{setOption("x/b", "c")},
			"spec:\n  options:\n    x/a: |\n      1",
			"spec:\n  options:\n    x/b: c\n    x/a: |\n      1",
		},
		{
			"directives, markers and a byte order mark stay",
			[]inplace.Change{setOption("x/b", "c")},
			"\ufeff%YAML 1.1\n--- # doc\nspec:\n  options:\n    x/a: \"é\" # é\n...\n",
			"\ufeff%YAML 1.1\n--- # doc\nspec:\n  options:\n    x/a: \"é\" # é\n    x/b: c\n...\n",
		},
		{
			"YAML in brackets on one line",
			[]inplace.Change{setOption("x/c", "a, b"), setOption("x/a", "z"), dropOption("x/b")},
			"{spec: {options: {x/a: 1, x/b: [u, 'v]'], }, z: \"}\"}} # c\n",
			"{spec: {options: {x/a: \"z\", x/c: \"a, b\", }, z: \"}\"}} # c\n",
		},
		{
			"YAML in brackets over lines",
			[]inplace.Change{setOption("x/c", "3"), dropOption("x/a")},
			"spec: {\n  options: {\n    # about a\n    x/a: 1, # one\n    x/b: 2 # two\n  },\n}\n",
			"spec: {\n  options: {\n    # about a\n    x/b: 2,\n    x/c: \"3\" # two\n  },\n}\n",
		},
		{
			"the last one in brackets is removed with its comma",
			[]inplace.Change{dropOption("x/b"), dropOption("z/b")},
			"spec: {options: {x/a: 1, # a\n  # b\n  x/b: 2}, z: [1]}\n",
			"spec: {options: {x/a: 1 # a\n  # b\n  }, z: [1]}\n",
		},
		{
			"options in brackets are made and removed",
			[]inplace.Change{setOption("x/a", "1"), drop("spec", "z")},
			"spec: {y: 1, z: 2}\n",
			"spec: {y: 1, options: {x/a: \"1\"}}\n",
		},
		{
			"options in brackets go with the last one",
			[]inplace.Change{dropOption("x/a")},
			"spec: {y: 1, options: {x/a: 1}}\n",
			"spec: {y: 1}\n",
		},
		{
			"a list in brackets",
			[]inplace.Change{setRefs("new")},
			"spec: {validation: {hostname: h}}\n",
			"spec: {validation: {hostname: h, caCertificateRefs: [{group: \"\", kind: \"ConfigMap\", name: \"new\"}]}}\n",
		},
		{
			"JSON over lines",
			[]inplace.Change{setOption("x/a", "<1>"), setOption("x/b", "2\n"), setRefs("new")},
			"{\n\t\"spec\": {\n\t\t\"validation\": {\n\t\t\t\"hostname\": \"h\"\n\t\t}\n\t}\n}",
			"{\n\t\"spec\": {\n\t\t\"validation\": {\n\t\t\t\"hostname\": \"h\",\n\t\t\t\"caCertificateRefs\": [\n\t\t\t\t{\n" +
				"\t\t\t\t\t\"group\": \"\",\n\t\t\t\t\t\"kind\": \"ConfigMap\",\n\t\t\t\t\t\"name\": \"new\"\n\t\t\t\t}\n\t\t\t]\n" +
				"\t\t},\n\t\t\"options\": {\n\t\t\t\"x/a\": \"<1>\",\n\t\t\t\"x/b\": \"2\\n\"\n\t\t}\n\t}\n}",
		},
		{
			"JSON on one line, with characters beyond the first plane as pairs",
			[]inplace.Change{setOption("x/b", "1")},
			`{"spec":{"z":"\ud83d\ude00","options":{"x/a":"{"}}}`,
			`{"spec":{"z":"\ud83d\ude00","options":{"x/a":"{","x/b":"1"}}}`,
		},
		{
			"JSON options go with the last one",
			[]inplace.Change{dropOption("x/a")},
			"{\n  \"spec\": {\n    \"a\": 1,\n    \"options\": {\n      \"x/a\": \"1\"\n    }\n  }\n}\n",
			"{\n  \"spec\": {\n    \"a\": 1\n  }\n}\n",
		},
		{
			"anchors that the change does not touch stay",
			[]inplace.Change{setOption("x/b", "2")},
			"spec:\n  a: &host h\n  b: *host\n  options: &o\n    x/a: !!str 1\n  c: *host\n",
			"spec:\n  a: &host h\n  b: *host\n  options: &o\n    x/a: !!str 1\n    x/b: \"2\"\n  c: *host\n",
		},
		{
			"a merged mapping is overridden",
			[]inplace.Change{setOption("x/a", "2")},
			"base: &b {x/a: 1}\nspec:\n  options:\n    <<: *b # base\n",
			"base: &b {x/a: 1}\nspec:\n  options:\n    <<: *b # base\n    x/a: \"2\"\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, err := inplace.Apply([]byte(test.before), whole(test.before), test.changes)
			if test.after == "" {
				if !errors.Is(err, inplace.ErrUneditable) {
					t.Fatalf("error %v, text\n%s", err, after)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(after) != test.after {
				t.Errorf("got\n%s\nwant\n%s", visible(string(after)), visible(test.after))
			}
		})
	}
}

func visible(text string) string {
	return strings.NewReplacer("\r", "␍", "\t", "␉").Replace(text)
}

func TestOneItemOfAListChanges(t *testing.T) {
	before := "# list\nkind: List\nitems:\n- spec:\n    options: {x/a: 1}\n-\n  spec:\n    options:\n      x/a: 1 # second\n- z: 1\n"
	place := whole(before)
	place.Item = 1
	after, err := inplace.Apply([]byte(before), place, []inplace.Change{setOption("x/a", "2"), setOption("x/b", "3")})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(before, "x/a: 1 # second\n", "x/a: \"2\" # second\n      x/b: \"3\"\n", 1); string(after) != want {
		t.Errorf("got\n%s\nwant\n%s", after, want)
	}
	place.Item = 3
	if _, err := inplace.Apply([]byte(before), place, nil); !errors.Is(err, inplace.ErrUneditable) {
		t.Errorf("an item that is not there: %v", err)
	}
}

func TestOtherDocumentsAreNotTouched(t *testing.T) {
	first, second, third := "a: [\n", "---\nspec:\n  options:\n    x/a: 1\n", "---\n\tnot YAML: [\n"
	text := first + second + third
	place := inplace.Place{Start: len(first), End: len(first + second), Item: inplace.NoList}
	after, err := inplace.Apply([]byte(text), place, []inplace.Change{setOption("x/b", "2")})
	if err != nil {
		t.Fatal(err)
	}
	if want := first + second + "    x/b: \"2\"\n" + third; string(after) != want {
		t.Errorf("got\n%s\nwant\n%s", after, want)
	}
}

// TestWhatIsSharedIsNotChanged: a change here would change something elsewhere
// too, or would have no effect.
func TestWhatIsSharedIsNotChanged(t *testing.T) {
	for name, test := range map[string]struct {
		text   string
		change inplace.Change
	}{
		"an anchored value that another one repeats": {
			"spec:\n  options:\n    x/a: &a 1\nother: *a\n", setOption("x/a", "2"),
		},
		"an anchored mapping that another one repeats": {
			"spec:\n  options: &o\n    x/a: 1\nother: *o\n", setOption("x/b", "2"),
		},
		"an alias": {
			"other: &o {x/a: 1}\nspec:\n  options: *o\n", setOption("x/a", "2"),
		},
		"a merged key that is to go": {
			"other: &o {x/a: 1}\nspec:\n  options:\n    <<: *o\n    x/b: 2\n", dropOption("x/a"),
		},
		"a text":         {"spec:\n  options: text\n", setOption("x/a", "2")},
		"a complex key":  {"spec:\n  options:\n    ? x/a\n    : 1\n", dropOption("x/a")},
		"a List of none": {"- spec\n", setOption("x/a", "2")},
	} {
		t.Run(name, func(t *testing.T) {
			after, err := inplace.Apply([]byte(test.text), whole(test.text), []inplace.Change{test.change})
			if !errors.Is(err, inplace.ErrUneditable) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, text\n%s", err, after)
			}
		})
	}
}

// TestAKeyThatIsNoTextIsNamed: an anchor is not what stands in the way.
func TestAKeyThatIsNoTextIsNamed(t *testing.T) {
	for _, key := range []string{"1", "true", "1.5", "~", "2026-01-01"} {
		text := "spec:\n  options:\n    " + key + ": x\n"
		_, err := inplace.Apply([]byte(text), whole(text), []inplace.Change{setOption("x/a", "2")})
		if err == nil || !strings.Contains(err.Error(), "spec.options.") || !strings.Contains(err.Error(), "put it in quotes") {
			t.Errorf("%s: %v", key, err)
		}
		quoted := strings.ReplaceAll(text, key, `"`+key+`"`)
		if _, err := inplace.Apply([]byte(quoted), whole(quoted), []inplace.Change{setOption("x/a", "2")}); err != nil {
			t.Errorf("%s in quotes: %v", key, err)
		}
	}
}
