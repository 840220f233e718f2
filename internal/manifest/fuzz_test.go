package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
)

// FuzzParse looks for files that crash the reader, that are understood
// differently the second time, or whose problems name no place.
func FuzzParse(f *testing.F) {
	paths, err := filepath.Glob("testdata/*/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			f.Add([]byte(document))
		}
		f.Add(data)
	}
	f.Add(world(5))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}]}`))
	f.Add([]byte("a: &a [*a]\n<<: *a\nkind: {<<: [*a]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file := manifest.File{Path: "f.yaml", Data: data}
		parsed := manifest.ParseFile(file)
		lines := 1 // YAML knows more line breaks than others do.
		for _, lineBreak := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
			lines += strings.Count(string(data), lineBreak)
		}
		for _, problem := range parsed.Problems {
			if problem.Line < 0 || problem.Line > lines+1 || problem.Message == "" || strings.Contains(problem.Message, "\n") {
				t.Errorf("problem %+v in %d lines", problem, lines)
			}
		}
		if parsed.Unusable() && len(parsed.Objects) > 0 {
			t.Error("objects of an unusable file")
		}
		for _, object := range parsed.Objects {
			if object.Key.Name == "" || object.Line < 1 || object.Value == nil && (object.Good() || manifest.Decides(object.Key.Kind)) {
				t.Errorf("object %+v", object)
			}
		}
		if diff := cmp.Diff(parsed.Objects, parsed.Next(file).Objects); diff != "" {
			t.Errorf("the second reading differs: %s", diff)
		}
		end := 0
		for _, document := range manifest.Documents(data) {
			if document.Start < end || document.End < document.Start || document.End > len(data) {
				t.Errorf("document %+v after %d of %d bytes", document, end, len(data))
			}
			end = document.End
		}
		set, _ := manifest.Combine([]manifest.Parsed{parsed, parsed}, nil)
		for key := range set.Snapshot().Faults {
			if key == (gwapi.Key{}) {
				t.Error("a fault of nothing")
			}
		}
	})
}

// FuzzDecodeStatus looks for status files that crash the reader, or that are
// accepted and then come back as something else.
func FuzzDecodeStatus(f *testing.F) {
	f.Add([]byte("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nname: a\nnamespace: b\ngeneration: 1\n" +
		"status: {conditions: [{type: A, status: \"True\", lastTransitionTime: 2026-01-01T00:00:00Z}]}\n"))
	f.Add([]byte("{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, name: a, status: {parents: [{}]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, status, err := manifest.DecodeStatus(data)
		if err != nil {
			return
		}
		again, err := manifest.EncodeStatus(key, status)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if back, _, err := manifest.DecodeStatus(again); err != nil || back != key {
			t.Errorf("%s comes back as %s, %v", key, back, err)
		}
	})
}
