package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// schema is as much of JSON Schema as docs/schemas uses.
type schema struct {
	Type       string             `json:"type"`
	Format     string             `json:"format"`
	Ref        string             `json:"$ref"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Defs       map[string]*schema `json:"$defs"`
}

// TestDocumentsFollowTheirSchemas compares everything that is printed as JSON
// with the published schemas: nothing undocumented, nothing missing.
func TestDocumentsFollowTheirSchemas(t *testing.T) {
	b := newShop(t)
	used := map[string]bool{}
	for line, kind := range map[string]string{
		"inspect -A --probe -o json -f shop":            "PathList",
		"inspect -n nowhere -o json -f shop":            "PathList",
		"fetch -A -o json -f shop":                      "EndpointCertificateList",
		"fetch -l app=empty -o json -f shop":            "EndpointCertificateList",
		"verify -A -o json -f shop":                     "VerificationList",
		"verify svc/skip --ignore-mode -o json -f shop": "VerificationList",
	} {
		content, err := os.ReadFile(filepath.Join(b.testing, "..", "docs", "schemas", kind+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var root schema
		if err := json.Unmarshal(content, &root); err != nil {
			t.Fatal(err)
		}
		_, stdout, stderr := b.run(strings.Fields(line)...)
		var document map[string]any
		if err := json.Unmarshal([]byte(stdout), &document); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, stderr)
		}
		if document["kind"] != kind || document["apiVersion"] != "cli.backendtls.dev/v1alpha1" {
			t.Errorf("%s prints %v %v", line, document["apiVersion"], document["kind"])
		}
		for _, fault := range root.check(&root, document, kind, used) {
			t.Errorf("%s: %s", line, fault)
		}
	}
	for _, property := range []string{
		"PathList.items[].policy.mode.secondsLeft", "PathList.items[].verdict.fix.yaml",
		"PathList.items[].verdict.strict", "EndpointCertificateList.items[].chain[].pem",
		"EndpointCertificateList.items[].error", "VerificationList.items[].endpoints[].checks[].message",
	} {
		if !used[property] {
			t.Errorf("no document has %s: the comparison does not see what it should", property)
		}
	}
}

// check lists what is wrong with a value.
func (s *schema) check(root *schema, value any, path string, used map[string]bool) []string {
	if name, found := strings.CutPrefix(s.Ref, "#/$defs/"); found {
		return root.Defs[name].check(root, value, path, used)
	}
	used[path] = true
	var faults []string
	switch typed := value.(type) {
	case map[string]any:
		faults = append(faults, s.is("object", path)...)
		for _, name := range s.Required {
			if _, found := typed[name]; !found {
				faults = append(faults, path+" lacks "+name)
			}
		}
		for name, field := range typed {
			if s.Properties[name] == nil {
				faults = append(faults, path+"."+name+" is not documented")
				continue
			}
			faults = append(faults, s.Properties[name].check(root, field, path+"."+name, used)...)
		}
	case []any:
		faults = append(faults, s.is("array", path)...)
		for _, item := range typed {
			faults = append(faults, s.Items.check(root, item, path+"[]", used)...)
		}
	case string:
		faults = append(faults, s.is("string", path)...)
		if _, err := time.Parse(time.RFC3339, typed); s.Format == "date-time" && err != nil {
			faults = append(faults, path+": "+err.Error())
		}
	case bool:
		faults = append(faults, s.is("boolean", path)...)
	case float64:
		faults = append(faults, s.is("integer", path)...)
	default:
		faults = append(faults, fmt.Sprintf("%s is %v", path, value))
	}
	slices.Sort(faults)
	return faults
}

func (s *schema) is(kind, path string) []string {
	if s.Type == kind {
		return nil
	}
	return []string{fmt.Sprintf("%s is of type %s, want %s", path, kind, s.Type)}
}
