package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/manifest"
)

// TestNoMessageHoldsASecret puts the same word wherever a value may stand in a
// Secret or a ConfigMap, in every way that is a fault.
func TestNoMessageHoldsASecret(t *testing.T) {
	const secret = "hunter2"
	for name, data := range map[string]string{
		"a tag that it does not have":  "k: !!int hunter2",
		"a float that it is not":       "k: !!float hunter2",
		"a bool that it is not":        "k: !!bool hunter2",
		"a tag that is the value":      "k: !hunter2",
		"a tag with a value":           "k: !vault hunter2",
		"a long tag":                   "k: !<hunter2> a",
		"an alias that is the value":   "k: *hunter2",
		"an anchor in itself":          "k: &hunter2 [*hunter2]",
		"a merge":                      "k: {<<: hunter2}",
		"an alias as a key":            "? *hunter2\n: a",
		"a list":                       "k: [hunter2]",
		"an object":                    "k: {a: hunter2}",
		"no base64":                    "k: hunter2!",
		"a quote that does not end":    "k: \"hunter2",
		"an escape that there is not":  "k: \"\\hunter2\"",
		"a directive":                  "k: |hunter2",
		"a character that may not be":  "k: @hunter2",
		"a percent sign":               "k: %hunter2",
		"a backquote":                  "k: `hunter2",
		"a colon":                      "k: hunter2: hunter2",
		"a line on its own":            "hunter2",
		"a tab":                        "k: a\n\thunter2",
		"text where an object belongs": "hunter2: hunter2\nk",
	} {
		t.Run(name, func(t *testing.T) {
			for _, field := range []string{
				"Secret\nstringData", "Secret\ndata", "Secret\ntype", "Secret\nimmutable",
				"ConfigMap\ndata", "ConfigMap\nbinaryData",
			} {
				text := "apiVersion: v1\nmetadata: {name: a}\nkind: " + field + ":\n  " + strings.ReplaceAll(data, "\n", "\n  ") + "\n"
				_, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(text)}})
				for _, problem := range problems {
					if strings.Contains(problem.String(), secret) {
						t.Errorf("%q: %s", text, problem)
					}
				}
			}
		})
	}
}

func TestANumberInASecretIsNotRepeated(t *testing.T) {
	for _, value := range []string{
		"48151623", "4815162342.5", "-48151623", "48151623e400", "481516234248151623424815162342", "0x48151623", ".inf",
		"!!int 48151623a", "2048-15-16", "!!binary 48151623", "!!timestamp 48151623",
	} {
		for _, field := range []string{
			"stringData: {k: %s}", "stringData: {a: {k: %s}}", "stringData: [%s]", "stringData: %s",
			"data: {k: %s}", "data: {a: {k: %s}}", "data: [%s]", "data: %s", "immutable: %s", "type: %s", "type: [%s]",
		} {
			text := "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n" + fmt.Sprintf(field, value) + "\n"
			_, problems := manifest.Parse([]manifest.File{{Path: "a.yaml", Data: []byte(text)}})
			for _, problem := range problems {
				if strings.Contains(problem.String(), "4815") {
					t.Errorf("%q: %s", text, problem)
				}
			}
		}
	}
}
