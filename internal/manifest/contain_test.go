package manifest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
)

// boundsError is what the runtime panics with.
type boundsError struct{}

func (boundsError) Error() string { return "index out of range [3] with length 3" }
func (boundsError) RuntimeError() {}

func TestAPanicOfALibraryCostsTheFileAlone(t *testing.T) {
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n"
	route := "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: a}\nspec: {}\n"
	for name, row := range map[string]struct {
		value any
		want  string
	}{
		"an error of the runtime": {boundsError{}, "report this (index out of range [3] with length 3)"},
		"text from the file":      {"cannot handle hunter2", "report this"},
		"another error":           {errors.New("hunter2"), "report this"},
	} {
		t.Run(name, func(t *testing.T) {
			defer manifest.FailOn(gwapi.KindHTTPRoute, row.value)()
			set, problems := manifest.Parse([]manifest.File{
				{Path: "a.yaml", Data: []byte(service + "---\n" + route)},
				{Path: "b.yaml", Data: []byte(strings.Replace(service, "name: a", "name: b", 1))},
			})
			if len(problems) != 1 || problems[0].Class != manifest.Unparsable || problems[0].Place() != "a.yaml:5" ||
				!strings.HasSuffix(problems[0].Message, row.want) || strings.Contains(problems[0].Message, "hunter2") {
				t.Errorf("problems %v, want one about a.yaml:5 that ends in %s", problems, row.want)
			}
			if keys := set.Keys(); len(keys) != 1 || keys[0].Name != "b" {
				t.Errorf("the set has %s, want the other file's object alone", keys)
			}
		})
	}
}
