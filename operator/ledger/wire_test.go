package ledger

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

func full() model.Envoy {
	return model.Envoy{
		Name: "envoy-1", Connected: true, Settled: shares("a", "b"),
		Held: []model.HeldCluster{
			{Name: "unknown"}, skipping("open", time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)),
		},
		Rejections: []model.Rejection{refusing("x", "line\none \"quoted\" <b> \x1b[31m \u2028")},
	}
}

func TestARecordArrivesAsItWasSent(t *testing.T) {
	for name, e := range map[string]model.Envoy{
		"full": full(), "empty": {Name: "envoy-1", Settled: map[gwapi.Key]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, tooLarge, err := encode(web, e)
			if err != nil || tooLarge {
				t.Fatal(tooLarge, err)
			}
			gateway, got, err := decode(raw)
			if err != nil || gateway != web {
				t.Fatal(gateway, err)
			}
			if diff := cmp.Diff(e, got); diff != "" {
				t.Errorf("(-sent +got)\n%s", diff)
			}
			again, _, _ := encode(web, got)
			if !bytes.Equal(raw, again) {
				t.Errorf("written once as %s, then as %s", raw, again)
			}
		})
	}
}

func TestTheWireFormIsWhatOlderReplicasUnderstand(t *testing.T) {
	raw, _, err := encode(web, model.Envoy{
		Name: "envoy-1", Connected: true, Settled: map[gwapi.Key]string{policy: "b"},
		Held:       []model.HeldCluster{skipping("open", time.Unix(0, 0))},
		Rejections: []model.Rejection{refusing("x", "no")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"gateway":{"kind":"Gateway","namespace":"edge","name":"web"},"name":"envoy-1","connected":true,` +
		`"settled":[{"kind":"BackendTLSPolicy","namespace":"shop","name":"pay","share":"b"}],` +
		`"held":[{"name":"open","policy":{"kind":"BackendTLSPolicy","namespace":"shop","name":"pay"},` +
		`"mode":"InsecureSkipVerification","lapses":"1970-01-01T00:00:00Z"}],` +
		`"rejections":[{"type":"Cluster","name":"x","message":"no"}]}`
	if string(raw) != want {
		t.Errorf("got  %s\nwant %s", raw, want)
	}
}

func TestARecordTooLargeClaimsNothing(t *testing.T) {
	e := full()
	e.Rejections = []model.Rejection{refusing("x", strings.Repeat("x", maxRecord))}
	raw, tooLarge, err := encode(web, e)
	if err != nil || !tooLarge {
		t.Fatal(tooLarge, err)
	}
	_, got, err := decode(raw)
	if err != nil || got.Name != "envoy-1" || got.Connected || len(got.Settled)+len(got.Held)+len(got.Rejections) != 0 {
		t.Errorf("got %+v, %v, want a name and nothing else", got, err)
	}
}

func TestAModeThatIsNotKnownLeavesOutEverything(t *testing.T) {
	_, got, err := decode([]byte(`{"gateway":{"kind":"Gateway","namespace":"a","name":"b"},"name":"e",
		"held":[{"name":"x","mode":"InsecureOnTuesdays"}]}`))
	if err != nil || got.Held[0].Mode != model.InsecureSkipVerification {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestWhatIsNoRecordIsRefused(t *testing.T) {
	for _, raw := range []string{
		``, `[]`, `{}`, `{"gateway":{"kind":"Gateway","namespace":"a","name":"b"}}`,
		`{"gateway":{"kind":"Service","namespace":"a","name":"b"},"name":"e"}`,
		`{"gateway":{"kind":"Gateway","namespace":"a","name":"b"},"name":"e","held":[{"lapses":"soon"}]}`,
	} {
		if _, got, err := decode([]byte(raw)); err == nil {
			t.Errorf("%s was taken as %+v", raw, got)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, e := range []model.Envoy{full(), {Name: "e"}} {
		raw, _, err := encode(web, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(`{"gateway":{"kind":"Gateway","namespace":"a","name":"b"},"name":"e",` +
		`"settled":[{"name":"x","share":"1"},{"name":"x","share":"2"}],"held":[{"mode":"?"},{"mode":"Standard"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		gateway, e, err := decode(raw)
		if err != nil {
			return
		}
		again, tooLarge, err := encode(gateway, e)
		if err != nil || tooLarge {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if !utf8.Valid(again) || !json.Valid(again) {
			t.Fatalf("written as %q", again)
		}
		to, got, err := decode(again)
		if err != nil || to != gateway {
			t.Fatal(to, err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("(-first +again)\n%s", diff)
		}
	})
}

func FuzzMessage(f *testing.F) {
	raw, _, err := encode(web, full())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"envoys":[`+string(raw)+`],"complete":true}`), []byte(`{"gone":[{"gateway":{"kind":"Gateway",`+
		`"namespace":"edge","name":"web"},"name":"envoy-1"}],"complete":true}`))
	f.Add([]byte(`{"complete":true}`), []byte(`{"envoys":[{}]}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		l := &Ledger{changes: make(chan struct{}, 1), timing: standardTiming()}
		s := newSession(&peer{ledger: l}, func() {})
		for _, raw := range [][]byte{first, second} {
			if s.take(raw) != nil {
				return
			}
		}
		total := 0
		for id, size := range s.sizes {
			if id.gateway.Kind != gwapi.KindGateway || id.name == "" {
				t.Errorf("nobody's record: %v", id)
			}
			total += size
		}
		if total != s.size {
			t.Errorf("the size is %d, want %d", s.size, total)
		}
	})
}
