package manifest

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	inBody      = regexp.MustCompile(`^\S* in body `)
	typeClause  = regexp.MustCompile(`^must be of type (\w+): "(\w+)"$`)
	arrayIndex  = regexp.MustCompile(`\.(\d+)\b`)
	unknownPath = regexp.MustCompile(`^unknown field "(.*)"$`)
)

// sentence is the text of a validation error: the field, the value and what
// would be right.
func sentence(err *field.Error) string {
	detail := inBody.ReplaceAllString(err.Detail, "")
	if err.Detail == unknownDetail {
		return fmt.Sprintf("there is no field %s", err.Field)
	}
	if match := typeClause.FindStringSubmatch(detail); match != nil {
		text := fmt.Sprintf("%s: must be of type %s, not %s", err.Field, match[1], match[2])
		if match[1] == "string" && match[2] != "object" && match[2] != "array" {
			text += "; put it in quotes"
		}
		return text
	}
	clean := *err
	clean.Detail = detail
	if err.Field == "" || err.Field == "<nil>" {
		return clean.ErrorBody()
	}
	return clean.Error()
}

// oneLine is a message with each line break and other control character, which
// a value that it repeats may have, as a blank: a message is one line of a log.
func oneLine(message string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, message)
}

// fieldPath writes a path of encoding/json, in which an index is an element
// like a key and slashes are escaped, the way field.Path does.
func fieldPath(path string) string {
	path = strings.NewReplacer("~1", "/", "~0", "~").Replace(path)
	return arrayIndex.ReplaceAllString(path, "[$1]")
}

// jsonType is what JSON calls a Go type.
func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Slice, reflect.Array:
		return "array"
	case reflect.Map, reflect.Struct, reflect.Pointer, reflect.Interface:
		return "object"
	case reflect.Float32, reflect.Float64:
		return "number"
	default:
		return "integer"
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, strings.TrimSuffix(noun, "s"))
}
