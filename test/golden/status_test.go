package golden_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
)

// statusYAML is the statuses as they are written to files.
func statusYAML(t *testing.T, reports report.Set) string {
	t.Helper()
	var text strings.Builder
	for _, key := range slices.SortedFunc(maps.Keys(reports), gwapi.CompareKeys) {
		status := reports[key]
		// They are the program's, not the case's, and grow with every release:
		// internal/resolve proves them once.
		status.Features = nil
		encoded, err := manifest.EncodeStatus(key, status)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n" + string(encoded))
	}
	return text.String()
}

// digests are all digests of the result.
func digests(result resolve.Result) string {
	var text strings.Builder
	for _, key := range slices.SortedFunc(maps.Keys(result.Gateways), gwapi.CompareKeys) {
		gateway := result.Gateways[key]
		fmt.Fprintf(&text, "%s %s\n", key, gateway.Digest)
		for _, share := range slices.SortedFunc(maps.Keys(gateway.Shares), gwapi.CompareKeys) {
			fmt.Fprintf(&text, "%s %s %s\n", key, share, gateway.Shares[share])
		}
	}
	return text.String()
}
