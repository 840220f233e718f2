package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
		"a tag":                                 {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: !vault x\n", 5, "the value has a tag that is not supported; put text that begins with ! in quotes"},
		"no number":                             {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  k: .nan\n", 5, "the value is no number that JSON has; put text in quotes"},
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
		"aliases of aliases":      {laughs + object, "aliases stand for more than 40000 values; write them out"},
		"merges of merges":        {strings.ReplaceAll(laughs, "a: &a [x,x,x,x,x,x,x,x,x]", "a: &a {x: y}") + object + "data: {<<: *i}\n", "aliases stand for"},
		"deep nesting":            {object + "data: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n", "values are nested more than 100 deep"},
		"absurdly deep nesting":   {object + "data: " + strings.Repeat("[", 100_000), "cannot be parsed: exceeded max depth"},
		"deep JSON":               {`{"apiVersion":"v1","kind":"ConfigMap","metadata":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}", "values are nested more than 100 deep"},
		"too many documents":      {strings.Repeat("---\na: b\n", manifest.MaxDocuments+1), "holds more than 20000 documents; split it"},
		"a long list":             {"a: [" + strings.Repeat("a,", manifest.MaxValues) + "a]\n", "holds more than 300000 values, all commas, colons and brackets counted; split it"},
		"many comments":           {strings.Repeat("# a\n", manifest.MaxValues+1) + object, "holds more than 300000 values"},
		"many empty documents":    {strings.Repeat("---\n", manifest.MaxValues+1), "holds more than 300000 values"},
		"much JSON":               {"{\"a\":[" + strings.Repeat("1,", manifest.MaxValues) + "1]}", "holds more than 300000 values"},
		"many values in UTF-16":   {"\xff\xfe" + strings.Repeat("-\x00\n\x00", manifest.MaxValues+1), "holds more than 300000 values"},
		"a large object":          {object + "data: {k: [" + strings.Repeat("a,", 50_000) + "a]}\n", "the object holds more than 50000 values; split it"},
		"aliases of long text":    {object + "data: {k: &a " + strings.Repeat("a", 100_000) + ", l: [" + strings.Repeat("*a,", 20) + "]}\n", "aliases stand for more than 1 MiB of text; write it out"},
		"an object of long text":  {object + "data: {k: " + strings.Repeat("a", 3<<20) + "}\n", "the object holds more than 3 MiB of text; split it"},
		"tag directives":          {strings.Repeat("%TAG !a! b\n", 101), "holds more than 100 lines that begin with %"},
		"merges without an end":   {binaryMerges(64) + "<<: *x64\nkind: Gateway\n", "the Gateway has no apiVersion"},
		"a large policy":          {policyOf("{a: b}"), "the object holds more than 10000 values; split it"},
		"too many faults":         {strings.Repeat(routeOf("1")+"---\n", 6), "has more than 10000 faults in its objects"},
		"too many list items":     {policyOf("{}"), "spec.targetRefs: Too many: 9000: must have at most 16 items"},
		"a file that is too long": {strings.Repeat("# x\n", manifest.MaxFileSize/4+1), "is larger than 8 MiB; split it"},
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

// binaryMerges are mappings of which each merges the one before twice.
func binaryMerges(n int) string {
	text := "x0: &x0 {a: b}\n"
	for i := range n {
		text += fmt.Sprintf("x%d: &x%d {<<: [*x%d, *x%d]}\n", i+1, i+1, i, i)
	}
	return text
}

// policyOf targets the same 9000 times.
func policyOf(target string) string {
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: a}\nspec: {targetRefs: [" +
		strings.TrimSuffix(strings.Repeat(target+",", 9_000), ",") + "],\n" +
		"  validation: {hostname: a, wellKnownCACertificates: System}}\n"
}

// routeOf matches a header of many, again and again.
func routeOf(header string) string {
	headers := strings.TrimSuffix(strings.Repeat(header+",", 16), ",")
	matches := strings.TrimSuffix(strings.Repeat("{headers: ["+headers+"]},", 32), ",")
	return "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {rules: [" +
		strings.TrimSuffix(strings.Repeat("{matches: ["+matches+"]},", 8), ",") + "]}\n"
}

// TestTheWorstFilesWithinTheLimitsStayCheap counts every byte that is ever
// allocated, which is more than what is in use at any time.
func TestTheWorstFilesWithinTheLimitsStayCheap(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: "
	const count, most = manifest.MaxValues - 100, 300 << 20
	for name, data := range map[string]string{
		"an ignored list":              "a: [" + strings.Repeat("a,", count) + "a]\n",
		"keys without values":          "a: {" + strings.Repeat("a,", count) + "a}\n",
		"question marks":               strings.Repeat("? a\n", count),
		"pairs":                        "a: [" + strings.Repeat("a: ,", count/2) + "a]\n",
		"comments":                     "a: [" + strings.Repeat("a,#\n", count/2) + "a]\n",
		"JSON":                         `{"a":[` + strings.Repeat("1,", count) + "1]}",
		"objects of the largest size":  strings.Repeat(object+"{k: ["+strings.Repeat("a,", 49_000)+"a]}\n---\n", 6),
		"policies of the largest size": strings.Repeat(policyOf("1")+"---\n", 6),
		"text of the largest size":     object + "{k: \"" + strings.Repeat("<", 3<<20-200) + "\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			parsed := manifest.ParseFile(manifest.File{Path: "a.yaml", Data: []byte(data)})
			runtime.ReadMemStats(&after)
			if parsed.Unusable() {
				t.Fatalf("refused: %s; the test is about what is read", parsed.Problems[0])
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > most {
				t.Errorf("took %d MiB of memory, want at most %d", took>>20, most>>20)
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
