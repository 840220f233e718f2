package conformance

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"testing"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
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
	// The suite has them in no order, which would differ from report to report.
	slices.SortFunc(report.ProfileReports, func(a, b confv1.ProfileReport) int { return cmp.Compare(a.Name, b.Name) })
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
