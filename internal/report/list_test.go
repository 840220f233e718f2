package report_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/backendtls/backendtls/internal/report"
)

func TestAListOfFaultsStaysReadable(t *testing.T) {
	var faults []string
	for i := range 1000 {
		faults = append(faults, fmt.Sprintf("rules[%d].timeouts: is not supported", i))
	}
	if got := report.List(faults[:2]); got != faults[0]+"; "+faults[1] {
		t.Errorf("two faults are %q", got)
	}
	for name, row := range map[string]struct {
		message     string
		first, last string
	}{
		"an unsupported value": {
			report.RouteUnsupportedValue(faults).Message, faults[0], "more; requests to this route are answered with 500",
		},
		"dropped rules": {
			report.RoutePartiallyInvalid(faults).Message, "Dropped Rule: " + faults[0],
			"more; requests that such a rule matches are answered with 500",
		},
		"remarks": {report.RouteAccepted(faults...).Message, "the route is attached; " + faults[0], " more"},
		"one fault that is too long": {
			report.RouteUnsupportedValue([]string{strings.Repeat("\u00e4", 40_000), "b"}).Message, "\u00e4",
			" ...; ... and 1 more; requests to this route are answered with 500",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if len(row.message) > 4096 || !utf8.ValidString(row.message) ||
				!strings.HasPrefix(row.message, row.first) || !strings.HasSuffix(row.message, row.last) {
				t.Errorf("%d bytes: %s", len(row.message), row.message)
			}
			var more int
			_, rest, _ := strings.Cut(row.message, "; ... and ")
			if _, err := fmt.Sscanf(rest, "%d more", &more); err != nil ||
				more == 1 && name != "one fault that is too long" ||
				more > 1 && more+strings.Count(row.message, "timeouts") != len(faults) {
				t.Errorf("%d more: %s", more, row.message)
			}
		})
	}
}
