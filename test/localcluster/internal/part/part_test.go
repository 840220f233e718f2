package part

import (
	"net/netip"
	"slices"
	"testing"
)

func TestThePartsAreThoseThatAreNamed(t *testing.T) {
	plan := Plan{Range: netip.MustParsePrefix("10.213.0.0/16")}
	var names []string
	for _, part := range plan.Parts() {
		names = append(names, part.Name)
	}
	if !slices.Equal(names, Names()) {
		t.Errorf("the parts are %v, and named are %v", names, Names())
	}
}
