package v1alpha1_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// schemas is where the JSON Schemas are published.
const schemas = "../../../docs/schemas"

// TestSchemasAreWhatTheSourceSays derives the JSON Schema of every list from
// the types and their comments. UPDATE_GOLDEN=1 writes them.
func TestSchemasAreWhatTheSourceSays(t *testing.T) {
	comments := readComments(t)
	for kind, list := range map[string]any{
		cliv1alpha1.KindPathList:                cliv1alpha1.PathList{},
		cliv1alpha1.KindEndpointCertificateList: cliv1alpha1.EndpointCertificateList{},
		cliv1alpha1.KindVerificationList:        cliv1alpha1.VerificationList{},
	} {
		t.Run(kind, func(t *testing.T) {
			writer := schemaWriter{t: t, comments: comments, definitions: map[string]any{}}
			root := writer.object(reflect.TypeOf(list))
			root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
			root["title"] = kind + " of " + cliv1alpha1.APIVersion
			root["$defs"] = writer.definitions
			var encoded bytes.Buffer
			encoder := json.NewEncoder(&encoded)
			encoder.SetEscapeHTML(false)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(root); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(schemas, kind+".json")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.MkdirAll(schemas, 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, encoded.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			published, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(published, encoded.Bytes()) {
				t.Errorf("%s is not what the source says; UPDATE_GOLDEN=1 writes:\n%s", path, encoded.String())
			}
		})
	}
}

// schemaWriter writes the definitions of the structs that it meets.
type schemaWriter struct {
	t           *testing.T
	comments    map[string]string
	definitions map[string]any
}

func (w *schemaWriter) object(kind reflect.Type) map[string]any {
	properties := map[string]any{}
	required := []string{}
	for _, field := range reflect.VisibleFields(kind) {
		if field.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			w.t.Fatalf("%s.%s has no json tag", kind, field.Name)
		}
		owner := kind.Name()
		if len(field.Index) > 1 {
			owner = kind.Field(field.Index[0]).Type.Name()
		}
		schema := w.value(field.Type)
		schema["description"] = w.comment(owner + "." + field.Name)
		properties[name] = schema
		if !strings.Contains(options, "omitempty") {
			required = append(required, name)
		}
	}
	return map[string]any{
		"type": "object", "description": w.comment(kind.Name()), "properties": properties, "required": required,
	}
}

func (w *schemaWriter) value(kind reflect.Type) map[string]any {
	switch {
	case kind == reflect.TypeFor[metav1.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case kind.Kind() == reflect.Pointer:
		return w.value(kind.Elem())
	case kind.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": w.value(kind.Elem())}
	case kind.Kind() == reflect.Struct:
		if _, known := w.definitions[kind.Name()]; !known {
			w.definitions[kind.Name()] = map[string]any{}
			w.definitions[kind.Name()] = w.object(kind)
		}
		return map[string]any{"$ref": "#/$defs/" + kind.Name()}
	case kind.Kind() == reflect.String:
		return map[string]any{"type": "string"}
	case kind.Kind() == reflect.Bool:
		return map[string]any{"type": "boolean"}
	case kind.Kind() == reflect.Int, kind.Kind() == reflect.Int32, kind.Kind() == reflect.Int64:
		return map[string]any{"type": "integer"}
	}
	w.t.Fatalf("no schema for a field of type %s", kind)
	return nil
}

func (w *schemaWriter) comment(name string) string {
	text := w.comments[name]
	if text == "" {
		w.t.Errorf("%s has no comment", name)
	}
	return text
}

// readComments maps Type and Type.Field to what the source says of them.
func readComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				readType(comments, general, spec.(*ast.TypeSpec))
			}
		}
	}
	return comments
}

func readType(comments map[string]string, declaration *ast.GenDecl, spec *ast.TypeSpec) {
	comments[spec.Name.Name] = oneLine(declaration.Doc.Text())
	structure, ok := spec.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range structure.Fields.List {
		for _, name := range field.Names {
			comments[spec.Name.Name+"."+name.Name] = oneLine(field.Doc.Text())
		}
	}
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
