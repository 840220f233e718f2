package plugin

import (
	"os"
	"testing"
)

// TestStatusElsewhereIsReadWhereItIsSaidToBe is for operators that run with
// --state because their directory is read-only.
func TestStatusElsewhereIsReadWhereItIsSaidToBe(t *testing.T) {
	b := newShop(t)
	_, beside, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop")
	if err := os.Rename("shop/.backendtls", "elsewhere"); err != nil {
		t.Fatal(err)
	}
	if _, without, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop"); without == beside {
		t.Fatal("the fixture's status changes nothing")
	}
	if _, named, _ := b.run("inspect", "svc/skip", "--no-probe", "-f", "shop", "--state", "elsewhere"); named != beside {
		t.Errorf("with --state:\n%s\nwant what it was beside the files:\n%s", named, beside)
	}
}
