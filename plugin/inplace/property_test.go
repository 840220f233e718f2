package inplace_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/backendtls/backendtls/plugin/inplace"
)

// author writes an object in a style of its own. Every line that holds nothing
// of the options that the test changes is marked, so that its loss is seen.
type author struct {
	t     *rapid.T
	step  int
	lines []string
	marks int
}

func (a *author) draw(label string, of int) bool { return rapid.IntRange(0, of).Draw(a.t, label) == 0 }

func (a *author) write(depth int, text string) {
	for line := range strings.SplitSeq(text, "\n") {
		a.lines = append(a.lines, strings.TrimRight(strings.Repeat(" ", depth*a.step)+line, " "))
	}
}

// noise writes comments and blank lines.
func (a *author) noise(depth int) {
	for a.draw("noise", 2) {
		if a.draw("blank", 2) {
			a.lines = append(a.lines, "")
			continue
		}
		a.marks++
		deep := rapid.IntRange(0, depth).Draw(a.t, "depth of a comment")
		a.write(deep, fmt.Sprintf("# mark %d: {[\"'", a.marks))
	}
}

func (a *author) remark() string {
	if a.draw("remark", 3) {
		return " # remark"
	}
	return ""
}

// values are spellings of one string.
var values = []string{
	"old", `"old"`, "'old'", ">-\n  old", "|-\n  old", "\"ol\\\n  d\"", "!!str old", ">-\n  old\n\n",
}

func (a *author) option(depth int, name string) {
	a.noise(depth)
	spelled := strings.Split(rapid.SampledFrom(values).Draw(a.t, "value"), "\n")
	block := len(spelled) > 1
	first := name + ": " + spelled[0]
	if !block || !strings.HasPrefix(spelled[0], `"`) {
		first += a.remark()
	}
	a.write(depth, first)
	for _, line := range spelled[1:] {
		a.write(depth, line)
	}
}

func (a *author) spec() {
	a.noise(0)
	a.write(0, "spec:"+a.remark())
	parts := rapid.Permutation([]string{"validation", "options", "extra"}).Draw(a.t, "order")
	for _, part := range parts {
		a.noise(1)
		switch part {
		case "validation":
			a.write(1, "validation:"+a.remark())
			a.noise(2)
			a.write(2, "hostname: &h kept-1 # remark")
		case "options":
			a.options()
		case "extra":
			a.write(1, rapid.SampledFrom([]string{
				"extra: {b: [kept-2, 'c: d'], e: \"}\"}", "extra: kept-3\n  and more", "extra: |+\n  # kept-4\n\n",
				"extra:\n  - kept-5\n  - k: &k x\n  - *k", "extra:",
			}).Draw(a.t, "extra"))
		}
	}
}

func (a *author) options() {
	present := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"x/a", "x/b", "x/c", "x/d"}), rapid.ID[string]).
		Draw(a.t, "options")
	switch {
	case len(present) == 0 && a.draw("no options", 1):
	case len(present) == 0:
		a.write(1, "options:"+rapid.SampledFrom([]string{"", " {}", " ~", " null # remark"}).Draw(a.t, "empty"))
	case a.draw("flow", 3):
		var list []string
		for _, name := range present {
			list = append(list, name+": \"old\"")
		}
		separator := rapid.SampledFrom([]string{", ", " ,\n      ", ", # remark\n      "}).Draw(a.t, "separator")
		end := rapid.SampledFrom([]string{"}", " }", ",}", "\n      }", ", # remark\n      }"}).Draw(a.t, "end")
		a.write(1, "options: {"+strings.Join(list, separator)+end)
	default:
		a.write(1, "options:"+a.remark())
		for _, name := range present {
			a.option(2, name)
		}
	}
}

// TestAnyStyleIsEdited changes objects in styles of all kinds, alone and in
// Lists: no style is refused, the change is made, and no line of anything else
// is lost or moved.
func TestAnyStyleIsEdited(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := &author{t: t, step: rapid.IntRange(2, 5).Draw(t, "step")}
		a.write(0, "kind: BackendTLSPolicy")
		a.spec()
		a.noise(0)
		lines := strings.Split(strings.Join(a.lines, "\n"), "\n")
		item := inplace.NoList
		if a.draw("list", 2) {
			item = 1
			indent := rapid.SampledFrom([]string{"- ", "  - "}).Draw(t, "dash")
			for i, line := range lines {
				lead := strings.Repeat(" ", len(indent))
				if i == 0 {
					lead = indent
				}
				lines[i] = strings.TrimRight(lead+line, " ")
			}
			lines = slices.Concat([]string{"items:", "- kind: kept-0"}, lines)
			if indent != "- " {
				lines[1] = "  - kind: kept-0"
			}
		}
		eol := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "line end")
		text := strings.Join(lines, eol)
		if a.draw("ended", 2) {
			text += eol
		}
		name := rapid.SampledFrom([]string{"x/a", "x/b", "x/c"}).Draw(t, "name")
		change := inplace.Change{Path: []string{"spec", "options", name}}
		switch rapid.IntRange(0, 2).Draw(t, "change") {
		case 1:
			change.Value = inplace.Text("new one")
		case 2:
			change.Value = inplace.Words{"new-1", "new-2"}
		}
		after, err := inplace.Apply([]byte(text), inplace.Place{End: len(text), Item: item}, []inplace.Change{change})
		if err != nil {
			t.Fatalf("%v:\n%s", err, visible(text))
		}
		if got := optionOf(t, string(after), item, name); got != want(change) {
			t.Fatalf("%s is %q, want %q:\n%s\nwas\n%s", name, got, want(change), visible(string(after)), visible(text))
		}
		rest := strings.Split(strings.ReplaceAll(string(after), "\r\n", "\n"), "\n")
		for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
			if !strings.Contains(line, "mark ") && !strings.Contains(line, "kept") {
				continue
			}
			i := slices.IndexFunc(rest, func(other string) bool {
				return other == line || strings.HasPrefix(strings.TrimLeft(line, " "), "#") &&
					strings.TrimLeft(other, " ") == strings.TrimLeft(line, " ")
			})
			if i < 0 {
				t.Fatalf("the line %q is lost or moved:\n%s\nwas\n%s", line, visible(string(after)), visible(text))
			}
			rest = rest[i+1:]
		}
		if unix := strings.Count(string(after), "\n") - strings.Count(string(after), "\r\n"); eol == "\r\n" && unix > 0 {
			t.Fatalf("%d line ends are not the author's:\n%s", unix, visible(string(after)))
		}
	})
}

func want(change inplace.Change) any {
	switch value := change.Value.(type) {
	case inplace.Text:
		return string(value)
	case inplace.Words:
		return strings.Join(value, " ")
	default:
		return nil
	}
}

func optionOf(t *rapid.T, text string, item int, name string) any {
	var root map[string]any
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("%v:\n%s", err, visible(text))
	}
	if item != inplace.NoList {
		root = root["items"].([]any)[item].(map[string]any)
	}
	options, _ := root["spec"].(map[string]any)["options"].(map[string]any)
	return options[name]
}
