package matrix_test

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/test/port"
)

const pageFile = "../../docs/verification-matrix.md"

// TestTheMatrix asks Envoy and verify about every cell, and holds the answers
// against each other and against the documents.
func TestTheMatrix(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	shop := newWorkshop(t, now)
	rows, columns := shop.certificates(), trusts()
	all := cells(columns, rows)
	free := port.Free(t)
	gateway := decide(t, manifests(t, free, shop.authorities, rows, all), now, all)

	endpoints := make(map[*certificate]model.Endpoint, len(rows))
	seen := make(map[*certificate]model.Observation, len(rows))
	prober := tlsprobe.Prober{Now: time.Now, Timeout: 10 * time.Second}
	for _, row := range rows {
		endpoints[row] = serve(t, row)
		seen[row] = prober.Probe(t.Context(), endpoints[row], host)
	}
	outcomes := ask(t, run(t, gateway, all, endpoints), free, all)
	for _, c := range all {
		want := invalid
		if c.backend != nil {
			want = judged(verify.Observed(seen[c.certificate], c.backend.Trust, now))
		}
		if outcomes[c] != want {
			t.Errorf("%s: Envoy: %s; verify: %s", c, outcomes[c], want)
		}
	}
	keepsPromises(t, all, outcomes)
	everyNoteApplies(t, all, outcomes)
	comparePage(t, pageFile, page(columns, rows, all, outcomes))
}

// keepsPromises makes sure that docs/policy.md says what Envoy does, or that a
// note on the page says where it does something else.
func keepsPromises(t *testing.T, all []*cell, outcomes map[*cell]outcome) {
	t.Helper()
	promised := readPromises(t)
	for _, c := range all {
		want := promised.of(t, c)
		explained := slices.ContainsFunc(notes, func(n note) bool { return n.applies(c, outcomes[c]) })
		if got := outcomes[c].coarse(); got != want && !explained {
			t.Errorf("%s: %s promises: %s; Envoy: %s, which no note explains", c, promisesFile, want, outcomes[c])
		}
	}
}

func everyNoteApplies(t *testing.T, all []*cell, outcomes map[*cell]outcome) {
	t.Helper()
	for i := range notes {
		if !slices.ContainsFunc(all, func(c *cell) bool { return notes[i].applies(c, outcomes[c]) }) {
			t.Errorf("note %d is about nothing: %s", i+1, notes[i].text)
		}
	}
}

// comparePage compares the page with the one that is published.
func comparePage(t *testing.T, pageFile, text string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if t.Failed() {
			t.Fatal("nothing is published that does not agree")
		}
		if err := os.WriteFile(pageFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(pageFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(published), text); diff != "" {
		t.Errorf("%s differs (-published +now); after a deliberate change: make golden\n%s", pageFile, diff)
	}
}
