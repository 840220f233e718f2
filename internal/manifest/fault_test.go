package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/backendtls/backendtls/internal/manifest"
)

// TestEachFaultIsFoundAtItsLine reads files whose lines say in a comment which
// problem they have.
func TestEachFaultIsFoundAtItsLine(t *testing.T) {
	paths, err := filepath.Glob("testdata/faults/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatal("no files", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := manifest.Parse([]manifest.File{{Path: path, Data: data}})
			for i, line := range strings.Split(string(data), "\n") {
				_, want, found := strings.Cut(line, "# want: ")
				if !found {
					continue
				}
				at := slices.IndexFunc(problems, func(p manifest.Problem) bool {
					return p.Line == i+1 && strings.Contains(p.Message, want)
				})
				if at < 0 {
					t.Errorf("line %d: not found: %s", i+1, want)
					continue
				}
				problems = slices.Delete(problems, at, at+1)
			}
			for _, problem := range problems {
				t.Errorf("not expected: %s", problem)
			}
		})
	}
}

func TestAFileThatCannotBeUnderstoodNamesTheLine(t *testing.T) {
	object := "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n"
	for name, row := range map[string]struct {
		data string
		line int
		want string
	}{
		"a syntax error in the second document": {object + "---\n# more\nkind: [\n", 7, "cannot be parsed: "},
		"a tab":                                 {"kind: x\n\tapiVersion: v1\n", 2, "cannot be parsed: found a tab character"},
		"no kind":                               {object + "---\nmetadata: {name: x}\n", 6, "the object has no kind"},
		"no apiVersion":                         {"kind: Service\nmetadata: {name: x}\n", 1, "the Service has no apiVersion"},
		"an apiVersion of three parts":          {"# a\napiVersion: a/b/c\nkind: Service\n", 2, `apiVersion "a/b/c" is no GROUP/VERSION`},
		"no metadata":                           {"apiVersion: v1\nkind: Service\n", 1, "Service has no metadata"},
		"half a kind":                           {"apiVersion: v1\nkind: Serv\n", 1, "the v1 Serv has no metadata"},
		"no name":                               {"apiVersion: v1\nkind: Service\nmetadata:\n  labels: {}\n", 3, "Service needs metadata.name, a string"},
		"a number for a name":                   {"apiVersion: v1\nkind: Service\nmetadata:\n  name: 7\n", 4, "Service needs metadata.name, a string"},
		"a name with a capital":                 {"apiVersion: v1\nkind: Service\nmetadata:\n  name: Api\n", 4, `Service "Api" in namespace "default": a lowercase RFC 1123`},
		"a namespace with a dot":                {"apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a.b}\n", 3, `Secret "a" in namespace "a.b"`},
		"a key twice":                           {object + "spec: {}\n", 5, `the key "spec" is given twice`},
		"a key twice, deep":                     {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: a\n  k: b\n", 6, `the key "k" is given twice`},
		"a kind twice":                          {"apiVersion: v1\nkind: Service\nkind: Secret\nmetadata: {name: a}\n", 3, `the key "kind" is given twice`},
		"two documents without a line between":  {object + "...\n" + object, 5, "cannot be parsed: did not find expected <document start>"},
		"a tag":                                 {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: !vault x\n", 5, "the tag !vault is not supported"},
		"no number":                             {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: .nan\n", 5, ".nan is no number that JSON has"},
		"items that are no list":                {"apiVersion: v1\nkind: List\nitems: 7\n", 3, "items of a List must be a list"},
		"JSON cut off":                          {"{\"apiVersion\": \"v1\",\n\"kind\": \"Service\",\n", 2, "cannot be parsed: "},
		"an alias of itself":                    {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: &d {k: *d}\n", 4, "values are nested more than 100 deep"},
		"bytes that are no text":                {"kind: \xff\xfe\n", 1, "cannot be parsed: "},
	} {
		t.Run(name, func(t *testing.T) {
			set, problems := manifest.Parse([]manifest.File{
				{Path: "a.yaml", Data: []byte(row.data)},
				{Path: "b.yaml", Data: []byte(strings.Replace(object, "name: a", "name: b", 1))},
			})
			if len(problems) != 1 || problems[0].Class != manifest.Unparsable {
				t.Fatalf("problems %v, want one", problems)
			}
			if problems[0].Line != row.line || !strings.HasPrefix(problems[0].Message, row.want) {
				t.Errorf("got %s, want line %d: %s", problems[0], row.line, row.want)
			}
			if keys := fmt.Sprint(set.Keys()); keys != "[service/default/b]" {
				t.Errorf("the set has %s, want the other file's object alone", keys)
			}
		})
	}
}

func TestWhatIsTooMuchIsRefusedQuickly(t *testing.T) {
	laughs := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := range 8 {
		name, of := string(rune('b'+i)), string(rune('a'+i))
		laughs += name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat("*"+of+",", 9), ",") + "]\n"
	}
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for name, row := range map[string]struct{ data, want string }{
		"aliases of aliases":      {laughs + object, "aliases stand for more than 100000 values; write them out"},
		"merges of merges":        {strings.ReplaceAll(laughs, "a: &a [x,x,x,x,x,x,x,x,x]", "a: &a {x: y}") + object + "data: {<<: *i}\n", "aliases stand for"},
		"deep nesting":            {object + "data: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "values are nested more than 100 deep"},
		"absurdly deep nesting":   {object + "data: " + strings.Repeat("[", 1_000_000), "cannot be parsed: exceeded max depth"},
		"deep JSON":               {`{"apiVersion":"v1","kind":"ConfigMap","metadata":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", "values are nested more than 100 deep"},
		"too many documents":      {strings.Repeat("---\na: b\n", manifest.MaxDocuments+1), "holds more than 20000 documents; split it"},
		"a file that is too long": {strings.Repeat("# x\n", manifest.MaxFileSize/4+1), "is larger than 32 MiB; split it"},
		"too many items":          {"apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- {}\n", manifest.MaxDocuments+1), "holds more than 20000 items; split it"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(row.data)}})
			if len(problems) != 1 || !strings.HasPrefix(problems[0].Message, row.want) {
				t.Fatalf("problems %.300v, want %s", problems, row.want)
			}
		})
	}
}

func TestOrdinaryAliasesAndMergesAreUnderstood(t *testing.T) {
	data := `apiVersion: v1
kind: List
items:
- &base
  apiVersion: v1
  kind: ConfigMap
  metadata: {name: one, labels: &labels {a: "1"}}
  data: &data {k: v}
- <<: *base
  metadata: {name: two, labels: {<<: *labels, b: "2"}}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: three}
  data: {<<: [*data, {k: other, l: m}]}
`
	snapshot := parseGood(t, data)
	one := configMap(t, snapshot, "one")
	two := configMap(t, snapshot, "two")
	three := configMap(t, snapshot, "three")
	for _, row := range []struct{ got, want any }{
		{two.Data, one.Data},
		{two.Labels, map[string]string{"a": "1", "b": "2"}},
		{three.Data, map[string]string{"k": "v", "l": "m"}},
	} {
		if fmt.Sprint(row.got) != fmt.Sprint(row.want) {
			t.Errorf("got %v, want %v", row.got, row.want)
		}
	}
}

func TestDocumentsInAnotherEncodingAreNotOverlooked(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + object + "---\n" + object)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	_, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: wide}})
	if len(problems) != 1 || !strings.Contains(problems[0].Message, "starts another document") {
		t.Errorf("problems %v: the second document would be ignored", problems)
	}
}
