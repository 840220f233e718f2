package document_test

import (
	"reflect"
	"testing"

	"github.com/backendtls/backendtls/test/document"
)

func service() map[string]any {
	return map[string]any{"name": "api", "ports": []any{443.0, 8443.0}}
}

// The steps of service are itself, name, ports, and the two ports.
func TestAnEditReachesEveryValueAndNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		steps int
		how   byte
		want  any
	}{
		"all of it":                {0, 0, "word"},
		"a value":                  {1, 0, map[string]any{"name": "word", "ports": []any{443.0, 8443.0}}},
		"a list":                   {2, 0, map[string]any{"name": "api", "ports": "word"}},
		"the last item":            {4, 0, map[string]any{"name": "api", "ports": []any{443.0, "word"}}},
		"nothing behind the end":   {5, 0, service()},
		"a key that goes":          {1, document.Remove, map[string]any{"ports": []any{443.0, 8443.0}}},
		"an item that doubles":     {3, document.Double, map[string]any{"name": "api", "ports": []any{443.0, 8443.0, 443.0}}},
		"an item that cannot go":   {3, document.Remove, map[string]any{"name": "api", "ports": []any{"word", 8443.0}}},
		"a key that cannot double": {1, document.Double, map[string]any{"name": "word", "ports": []any{443.0, 8443.0}}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := document.Edit(service(), c.steps, "word", c.how); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestACloneSharesNothing(t *testing.T) {
	original := service()
	for steps := range 6 {
		for how := range byte(3) {
			document.Edit(document.Clone(original), steps, "word", how)
		}
	}
	if !reflect.DeepEqual(original, service()) {
		t.Errorf("an edit of a clone changed the original: %v", original)
	}
}

func TestWordsAreValuesAndKeys(t *testing.T) {
	want := []any{"first", "api", "name", 443.0, 8443.0, "ports"}
	if got := document.Words([]any{"first"}, service()); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
