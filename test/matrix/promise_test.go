package matrix_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
)

// promises are the table of docs/policy.md: what is checked, by what is trusted
// and the mode.
type promises map[string]map[model.Mode][]string

const promisesFile = "../../docs/policy.md"

// The cells of the table that name no checks.
const (
	checksNothing = "nothing"
	isRefused     = "refused"
)

// readPromises reads the table below the heading "What is checked".
func readPromises(t *testing.T) promises {
	t.Helper()
	text, err := os.ReadFile(promisesFile)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## What is checked\n")
	if !found {
		t.Fatalf("%s has no section \"What is checked\"", promisesFile)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	read := promises{}
	var modes []model.Mode
	for line := range strings.Lines(section) {
		row, isRow := strings.CutPrefix(strings.TrimSpace(line), "|")
		if !isRow || strings.HasPrefix(row, "---") {
			continue
		}
		fields := strings.Split(strings.TrimSuffix(row, "|"), "|")
		for i := range fields {
			fields[i] = strings.TrimSpace(fields[i])
		}
		if modes == nil {
			for _, field := range fields[1:] {
				modes = append(modes, model.Mode(field))
			}
			continue
		}
		read[fields[0]] = map[model.Mode][]string{}
		for i, mode := range modes {
			read[fields[0]][mode] = strings.Split(fields[i+1], ", ")
		}
	}
	return read
}

// of is what the table says of a cell. A word that is not known fails the test:
// nobody could say what it promises.
func (p promises) of(t *testing.T, c *cell) outcome {
	t.Helper()
	checks, found := p[c.trust.promise][c.mode]
	if !found {
		t.Fatalf("%s has no cell for %q in mode %s", promisesFile, c.trust.promise, c.mode)
	}
	switch checks[0] {
	case isRefused:
		return invalid
	case checksNothing:
		return accepted
	}
	for _, check := range checks {
		passes, known := c.passes(check)
		if !known {
			t.Fatalf("%s: %q in the row %q is no check", promisesFile, check, c.trust.promise)
		}
		if !passes {
			return refused
		}
	}
	return accepted
}

// refused is a refusal by whatever check.
const refused outcome = "refused"

// passes says whether the certificate passes a check of the table, as a reader
// would think.
func (c *cell) passes(check string) (passes, known bool) {
	lacks := func(check string) bool { return slices.Contains(c.certificate.lacks, check) }
	switch check {
	case isIssued:
		return slices.Contains(c.trust.issuers, c.certificate.issuer) && !lacks(isIssued), true
	case isDated, isThat:
		return !lacks(check), true
	case isNamed:
		return slices.ContainsFunc(c.certificate.names, func(name string) bool {
			return slices.Contains(c.trust.names, name)
		}), true
	case isUnrevoked:
		return !lacks(isUnrevoked) && (!c.trust.wholeChain || !lacks(isUnrevokedAbove)), true
	case isPinned:
		return !lacks(isPinned) && (!c.trust.wholePins || !lacks(isThat)), true
	default:
		return false, false
	}
}

// coarse is the outcome without the check.
func (o outcome) coarse() outcome {
	if o == accepted || o == invalid {
		return o
	}
	return refused
}
