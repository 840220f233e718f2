package resolve_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/document"
)

// FuzzBuild edits the objects of a case as its input says: a value is replaced
// by one from anywhere else, left out, or doubled. Nothing is checked against
// a schema then. Build must not panic, and what holds for every case still
// holds.
func FuzzBuild(f *testing.F) {
	documents := fuzzDocuments(f)
	var words []any
	for _, list := range documents {
		for _, object := range list {
			words = document.Words(words, object)
		}
	}
	words = append(words, "", "*", "*.com", "/", "(", "127.0.0.1", nil, -1.0, 0.0, 1.0, 65536.0, true, []any{}, map[string]any{})
	for i := range documents {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte("change a few values of this case"))
	}
	f.Fuzz(func(t *testing.T, which uint8, edits []byte) {
		snap := &snapshot.Snapshot{Now: buildTime, Site: snapshot.Site{Standalone: which < 128}}
		edited := make([]any, 0, len(documents[int(which)%len(documents)]))
		for _, object := range documents[int(which)%len(documents)] {
			edited = append(edited, document.Clone(object))
		}
		for len(edits) >= 4 && len(edited) > 0 {
			at := int(edits[0]) % len(edited)
			word := words[(int(edits[2])<<8|int(edits[3]))%len(words)]
			edited[at] = document.Edit(edited[at], int(edits[1]), word, edits[1]%7)
			edits = edits[4:]
		}
		for _, object := range edited {
			if data, err := json.Marshal(object); err == nil {
				document.Add(snap, data)
			}
		}
		checkProperties(t, snap)
	})
}

// fuzzDocuments are the objects of each case.
func fuzzDocuments(f *testing.F) (cases [][]any) {
	f.Helper()
	for _, path := range caseFiles(f) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var documents []any
		for text := range strings.SplitSeq(string(data), "\n---\n") {
			var document any
			if err := yaml.Unmarshal([]byte(text), &document); err != nil {
				f.Fatal(err)
			}
			documents = append(documents, document)
		}
		cases = append(cases, documents[1:])
	}
	return cases
}
