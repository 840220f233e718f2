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

// The output formats. Those from JSON to GoTemplateFile are cli-runtime's, and
// mean what they mean in kubectl.
const (
	Table          = "table"
	Wide           = "wide"
	Name           = "name"
	PEM            = "pem"
	JSON           = "json"
	YAML           = "yaml"
	KYAML          = "kyaml"
	JSONPath       = "jsonpath"
	JSONPathAsJSON = "jsonpath-as-json"
	JSONPathFile   = "jsonpath-file"
	GoTemplate     = "go-template"
	GoTemplateFile = "go-template-file"
)

// Documents are the formats in which a whole list is printed.
func Documents() []string {
	return []string{JSON, YAML, KYAML, JSONPath, JSONPathAsJSON, JSONPathFile, GoTemplate, GoTemplateFile}
}

// arguments are what the formats want after an equals sign.
var arguments = map[string]string{
	JSONPath: "TEMPLATE", JSONPathAsJSON: "TEMPLATE", JSONPathFile: "FILE",
	GoTemplate: "TEMPLATE", GoTemplateFile: "FILE",
}

// CheckFormat says whether the format is one of those allowed, and whether its
// template, or the one in its file, parses.
func CheckFormat(format string, allowed []string) error {
	kind, argument, given := strings.Cut(format, "=")
	switch {
	case !slices.Contains(allowed, kind) || given && arguments[kind] == "":
		return fmt.Errorf("-o is %q: want one of %s", format, Spelled(allowed))
	case arguments[kind] == "":
		return nil
	case argument == "":
		return fmt.Errorf("-o is %q: want %s=%s, such as -o jsonpath='{.items[*].service.name}'",
			format, kind, arguments[kind])
	}
	if _, err := documentPrinter(format); err != nil {
		return fmt.Errorf("-o %s: %w", format, err)
	}
	return nil
}

// Spelled lists formats for people, with what they want after an equals sign.
func Spelled(formats []string) string {
	list := slices.Clone(formats)
	for i, format := range list {
		if arguments[format] != "" {
			list[i] += "=" + arguments[format]
		}
	}
	return strings.Join(list, ", ")
}

// IsDocument says whether Document prints the format.
func IsDocument(format string) bool {
	kind, _, _ := strings.Cut(format, "=")
	return slices.Contains(Documents(), kind)
}

// Document prints a list of plugin/api by one of cli-runtime's printers.
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
	if printer, err := genericclioptions.NewJSONYamlPrintFlags().ToPrinter(format); err == nil {
		return printer, nil
	}
	return genericclioptions.NewKubeTemplatePrintFlags().ToPrinter(format)
}
