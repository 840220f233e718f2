package golden_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/test/envoyvalidate"
)

// now is the time of every case.
var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// shuffles is how many orders of its documents each case is tried in.
const shuffles = 5

// testCase is one directory of testdata.
type testCase struct {
	dir string
	// documents are those of in.yaml, each with its leading --- line.
	documents []string
	// statuses are those that were written before, of status.live.yaml.
	statuses manifest.Statuses
	// read is what was read of the file before, whose documents are read no second
	// time: in.yaml is a file that changes.
	read manifest.Parsed
}

// outcome is everything that follows from a case.
type outcome struct {
	// files are the golden files by name.
	files map[string]string
	// rest is what the files leave out: digests, which say nothing to a reader.
	rest string

	read     manifest.Parsed
	set      *manifest.Set
	result   resolve.Result
	statuses manifest.Statuses
	envoys   map[gwapi.Key]envoy.Resources
}

// TestGoldenCases runs every case. After a deliberate change: make golden, and
// read the difference.
func TestGoldenCases(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*/in.yaml")
	if err != nil || len(inputs) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, dir)
			got := c.decide(t, c.documents)
			compareFiles(t, dir, got)
			again := c.decide(t, c.documents)
			sameOutcome(t, "the same input again", got, again)
			c.read = got.read
			for seed := range uint64(shuffles) {
				documents := append([]string(nil), c.documents...)
				// An order that can be had again.
				order := rand.New(rand.NewPCG(seed, seed))
				order.Shuffle(len(documents), func(i, j int) {
					documents[i], documents[j] = documents[j], documents[i]
				})
				sameOutcome(t, fmt.Sprintf("the documents shuffled by seed %d", seed), got, c.decide(t, documents))
			}
			settles(t, c, got)
			namesEveryReference(t, got)
			for gateway, resources := range got.envoys {
				if err := envoyvalidate.Resources(t, resources); err != nil {
					t.Errorf("Envoy refuses what %s is given: %v", gateway, err)
				}
			}
		})
	}
}

func readCase(t *testing.T, dir string) testCase {
	t.Helper()
	c := testCase{dir: dir, statuses: manifest.Statuses{}}
	c.documents = readDocuments(t, filepath.Join(dir, "in.yaml"))
	live := filepath.Join(dir, "status.live.yaml")
	if _, err := os.Stat(live); err != nil {
		return c
	}
	for _, document := range readDocuments(t, live) {
		key, status, err := manifest.DecodeStatus([]byte(document))
		if err != nil {
			t.Fatalf("%s: %v", live, err)
		}
		c.statuses[key] = status
	}
	return c
}

func readDocuments(t testing.TB, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var documents []string
	for _, place := range manifest.Documents(data) {
		document := strings.TrimSpace(strings.TrimPrefix(string(data[place.Start:place.End]), "---"))
		documents = append(documents, "---\n"+document+"\n")
	}
	return documents
}

// decide follows a case from its manifests to Envoy.
func (c testCase) decide(t *testing.T, documents []string) outcome {
	t.Helper()
	text := strings.Repeat("\n", firstLine-1) + strings.Join(documents, "")
	read := c.read.Next(manifest.File{Path: "in.yaml", Data: []byte(text)})
	set, problems := manifest.Combine([]manifest.Parsed{read}, nil)
	snap := set.WithStatuses(c.statuses).Snapshot()
	snap.Now = now
	o := outcome{
		read: read, set: set, result: resolve.Build(snap),
		statuses: manifest.Statuses{}, envoys: map[gwapi.Key]envoy.Resources{},
	}
	for key, ours := range o.result.Reports {
		o.statuses[key] = report.Merge(key, c.statuses[key], ours, now)
	}
	o.files = map[string]string{
		"model.yaml":  modelYAML(t, problems, o.result),
		"status.yaml": withoutLines(statusYAML(t, o.result.Reports)),
	}
	o.files["envoy.yaml"] = o.translate(t)
	o.rest = digests(o.result)
	return o
}

// lines are the places in the input that messages name: they change with the
// order of the documents. All have four digits, so that YAML folds every text
// at the same place.
var lines = regexp.MustCompile(`in\.yaml:[0-9]{4}`)

const firstLine = 1000

func withoutLines(text string) string { return lines.ReplaceAllString(text, "in.yaml:LINE") }

func compareFiles(t *testing.T, dir string, got outcome) {
	t.Helper()
	for name, text := range got.files {
		path := filepath.Join(dir, name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, []byte(text)) {
			t.Errorf("%s differs (-want +got):\n%s", path, cmp.Diff(string(want), text))
		}
	}
}

func sameOutcome(t *testing.T, what string, want, got outcome) {
	t.Helper()
	for name, text := range want.files {
		if got.files[name] != text {
			t.Errorf("%s: %s differs (-before +after):\n%s", what, name, cmp.Diff(text, got.files[name]))
		}
	}
	if want.rest != got.rest {
		t.Errorf("%s: digests differ (-before +after):\n%s", what, cmp.Diff(want.rest, got.rest))
	}
}

// settles makes sure that what was written is followed by nothing else: once
// the statuses are read back, a mode may come into force, and that is all.
func settles(t *testing.T, c testCase, first outcome) {
	t.Helper()
	c.statuses = first.statuses
	second := c.decide(t, c.documents)
	c.statuses = second.statuses
	third := c.decide(t, c.documents)
	sameOutcome(t, "the statuses read back twice", second, third)
	if diff := cmp.Diff(second.statuses, third.statuses); diff != "" {
		t.Errorf("the statuses read back twice are written differently:\n%s", diff)
	}
}
