// Package promql holds the alerts and the dashboard of manifests/components/monitoring
// to Prometheus: its parser reads every query, what the queries name is compared
// with the metrics that the operator has (test/observability/testdata/metrics.txt,
// which is compared with a running operator there), and its engine fires the
// alerts over series of testdata.
package promql
