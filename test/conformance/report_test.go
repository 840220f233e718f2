package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

// writeReport writes the report in the form that the Gateway API project
// publishes. The suite must have ended.
func writeReport(t *testing.T, judge *suite.ConformanceTestSuite) {
	report, err := judge.Report()
	if err != nil {
		t.Error(err)
		return
	}
	encoded, err := yaml.Marshal(report)
	if err != nil {
		t.Error(err)
		return
	}
	if err := os.MkdirAll(filepath.Dir(options.report), 0o755); err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(options.report, encoded, 0o644); err != nil {
		t.Error(err)
		return
	}
	say("wrote %s", options.report)
}
