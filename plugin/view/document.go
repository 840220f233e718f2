package view

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// The output formats.
const (
	Table    = "table"
	Wide     = "wide"
	JSON     = "json"
	YAML     = "yaml"
	Name     = "name"
	PEM      = "pem"
	JSONPath = "jsonpath"
)

// CheckFormat says whether the format is one of those allowed, and whether a
// jsonpath parses.
func CheckFormat(format string, allowed []string) error {
	kind, template, _ := strings.Cut(format, "=")
	if !slices.Contains(allowed, kind) || kind != JSONPath && kind != format {
		return fmt.Errorf("-o is %q: want one of %s", format, spelled(allowed))
	}
	if kind == JSONPath {
		if template == "" {
			return fmt.Errorf(`-o is %q: want a template, such as -o jsonpath='{.items[*].verdict.result}'`, format)
		}
		_, err := printers.NewJSONPathPrinter(template)
		if err != nil {
			return fmt.Errorf("-o %s: %w", format, err)
		}
	}
	return nil
}

func spelled(formats []string) string {
	list := slices.Clone(formats)
	for i, format := range list {
		if format == JSONPath {
			list[i] = "jsonpath=TEMPLATE"
		}
	}
	return strings.Join(list, ", ")
}

// IsDocument says whether Document prints the format.
func IsDocument(format string) bool {
	return format == JSON || format == YAML || strings.HasPrefix(format, JSONPath+"=")
}

// Document prints a list of plugin/api as JSON, YAML or through a jsonpath.
func Document(w io.Writer, format string, list any) error {
	printer, err := documentPrinter(format)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(encoded, &object.Object); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	return printer.PrintObj(object, w)
}

func documentPrinter(format string) (printers.ResourcePrinter, error) {
	if strings.HasPrefix(format, JSONPath) {
		return genericclioptions.NewJSONPathPrintFlags("", true).ToPrinter(format)
	}
	return genericclioptions.NewJSONYamlPrintFlags().ToPrinter(format)
}
