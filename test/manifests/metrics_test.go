package manifests_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	ownMetric     = regexp.MustCompile(`backendtls_[a-z0-9_]+`)
	literalMetric = regexp.MustCompile(`"(backendtls_[a-z0-9_]+)"`)
)

// TestAlertsAreAboutMetricsThatExist: an alert on a metric that nobody writes
// never fires.
func TestAlertsAreAboutMetricsThatExist(t *testing.T) {
	written := map[string]bool{}
	err := filepath.WalkDir("../../operator", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range literalMetric.FindAllStringSubmatch(string(text), -1) {
			written[match[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Alert, Expr, For    string
		Labels, Annotations map[string]string
	}
	var spec struct {
		Spec struct {
			Groups []struct{ Rules []rule }
		}
	}
	rules := render(t, base+"/components/monitoring").Of("PrometheusRule")
	if len(rules) != 1 {
		t.Fatalf("%d PrometheusRules, want one", len(rules))
	}
	text, err := json.Marshal(rules[0].Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, group := range spec.Spec.Groups {
		for _, rule := range group.Rules {
			count++
			for _, name := range ownMetric.FindAllString(rule.Expr, -1) {
				// What a histogram is made of has names of its own.
				for _, part := range []string{"_bucket", "_count", "_sum"} {
					name = strings.TrimSuffix(name, part)
				}
				if !written[name] {
					t.Errorf("%s is about %s, which the operator does not have", rule.Alert, name)
				}
			}
			severity := rule.Labels["severity"]
			if rule.For == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" ||
				rule.Annotations["runbook_url"] == "" || severity != "warning" && severity != "critical" {
				t.Errorf("%s lacks a duration, a severity of warning or critical, a summary, a description or a runbook", rule.Alert)
			}
		}
	}
	if count == 0 {
		t.Error("there are no alerts")
	}
}
