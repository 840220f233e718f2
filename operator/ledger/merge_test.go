package ledger

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

var (
	web    = gwapi.KeyOf(gwapi.KindGateway, "edge", "web")
	other  = gwapi.KeyOf(gwapi.KindGateway, "edge", "other")
	policy = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", "pay")
)

// shares are what was settled of the policy and of the Gateway.
func shares(gateway, pay string) map[gwapi.Key]string {
	return map[gwapi.Key]string{web: gateway, policy: pay}
}

func skipping(name string, lapses time.Time) model.HeldCluster {
	return model.HeldCluster{Name: name, Policy: policy, Mode: model.InsecureSkipVerification, Lapses: lapses}
}

func refusing(name, words string) model.Rejection {
	return model.Rejection{Type: "Cluster", Name: name, Message: words}
}

func TestMerge(t *testing.T) {
	early, late := time.Unix(100, 0), time.Unix(200, 0)
	strict := model.HeldCluster{Name: "strict", Policy: policy, Mode: model.Standard}
	for name, test := range map[string]struct {
		records []model.Envoy
		want    model.Envoy
	}{
		"one record counts as it is": {
			records: []model.Envoy{{Name: "e", Settled: shares("1", "1"), Held: []model.HeldCluster{strict}}},
			want:    model.Envoy{Name: "e", Settled: shares("1", "1"), Held: []model.HeldCluster{strict}},
		},
		"a live stream beats an ended one": {
			records: []model.Envoy{
				{
					Name: "e", Settled: shares("1", "1"), Held: []model.HeldCluster{skipping("old", time.Time{})},
					Rejections: []model.Rejection{refusing("old", "no")},
				},
				{Name: "e", Connected: true, Settled: shares("2", "2"), Held: []model.HeldCluster{strict}},
			},
			want: model.Envoy{Name: "e", Connected: true, Settled: shares("2", "2"), Held: []model.HeldCluster{strict}},
		},
		"an Envoy that reconnected elsewhere has settled nothing until it says so there": {
			records: []model.Envoy{
				{Name: "e", Settled: shares("1", "1")},
				{Name: "e", Connected: true, Settled: map[gwapi.Key]string{}},
			},
			want: model.Envoy{Name: "e", Connected: true, Settled: map[gwapi.Key]string{}},
		},
		"a stream on which nothing was said yet beats nothing": {
			records: []model.Envoy{
				{Name: "e", Settled: shares("1", "1"), Held: []model.HeldCluster{skipping("old", time.Time{})}},
				{Name: "e", Settled: map[gwapi.Key]string{}},
			},
			want: model.Envoy{
				Name: "e", Settled: map[gwapi.Key]string{}, Held: []model.HeldCluster{skipping("old", time.Time{})},
			},
		},
		"of two live streams what both settled is settled, and what either holds is held": {
			records: []model.Envoy{
				{
					Name: "e", Connected: true, Settled: shares("2", "1"), Held: []model.HeldCluster{strict},
					Rejections: []model.Rejection{refusing("b", "no"), refusing("a", "no")},
				},
				{
					Name: "e", Connected: true, Settled: shares("2", "2"), Held: []model.HeldCluster{skipping("open", early)},
					Rejections: []model.Rejection{refusing("b", "no"), refusing("b", "never")},
				},
			},
			want: model.Envoy{
				Name: "e", Connected: true, Settled: map[gwapi.Key]string{web: "2"},
				Held:       []model.HeldCluster{skipping("open", early), strict},
				Rejections: []model.Rejection{refusing("a", "no"), refusing("b", "never"), refusing("b", "no")},
			},
		},
		"of ended streams alone the same": {
			records: []model.Envoy{
				{Name: "e", Settled: shares("2", "1"), Held: []model.HeldCluster{strict}},
				{Name: "e", Settled: shares("2", "2"), Held: []model.HeldCluster{skipping("open", early)}},
			},
			want: model.Envoy{
				Name: "e", Settled: map[gwapi.Key]string{web: "2"},
				Held: []model.HeldCluster{skipping("open", early), strict},
			},
		},
		"of two lapses the later counts": {
			records: []model.Envoy{
				{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", late)}},
				{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", early)}},
			},
			want: model.Envoy{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", late)}},
		},
		"never is later than any lapse": {
			records: []model.Envoy{
				{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", late)}},
				{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", time.Time{})}},
			},
			want: model.Envoy{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", time.Time{})}},
		},
		"whose a cluster is is taken from whoever knows": {
			records: []model.Envoy{
				{Name: "e", Connected: true, Held: []model.HeldCluster{{Name: "open", Unknown: true}}},
				{Name: "e", Held: []model.HeldCluster{skipping("open", late), skipping("gone", late)}},
			},
			want: model.Envoy{Name: "e", Connected: true, Held: []model.HeldCluster{skipping("open", time.Time{})}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				if diff := cmp.Diff(test.want, merge(test.records)); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				slices.Reverse(test.records)
			}
		})
	}
}

// anEnvoy draws a record of one Envoy.
func anEnvoy(t *rapid.T) model.Envoy {
	e := model.Envoy{Name: "e", Connected: rapid.Bool().Draw(t, "connected"), Settled: map[gwapi.Key]string{}}
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]gwapi.Key{web, policy, other}), gwapi.Key.String).
		Draw(t, "keys") {
		e.Settled[key] = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "share")
	}
	for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), rapid.ID).Draw(t, "held") {
		held := model.HeldCluster{Name: name, Unknown: true}
		if rapid.Bool().Draw(t, "known") {
			held.Policy, held.Mode, held.Unknown = policy, model.InsecureAllowExpired, false
			held.Lapses = time.Unix(rapid.Int64Range(0, 3).Draw(t, "lapses"), 0)
		}
		e.Held = append(e.Held, held)
	}
	for range rapid.IntRange(0, 3).Draw(t, "rejections") {
		e.Rejections = append(e.Rejections, refusing(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "refused"), "no"))
	}
	return e
}

func names(held []model.HeldCluster) (names []string) {
	for _, h := range held {
		names = append(names, h.Name)
	}
	return names
}

func TestMergeNeverClaimsMoreThanEveryRecordThatCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(rapid.Custom(anEnvoy), 1, 4).Draw(t, "records")
		merged := merge(records)
		counting := slices.DeleteFunc(slices.Clone(records), func(e model.Envoy) bool { return !e.Connected })
		if merged.Connected != (len(counting) > 0) {
			t.Fatalf("connected is %v", merged.Connected)
		}
		if len(counting) == 0 {
			counting = records
		}
		var refused []model.Rejection
		for _, record := range counting {
			for key, share := range merged.Settled {
				if record.Settled[key] != share {
					t.Fatalf("settled %s: %q, a record has %q", key, share, record.Settled[key])
				}
			}
			for _, held := range record.Held {
				i := slices.IndexFunc(merged.Held, func(h model.HeldCluster) bool { return h.Name == held.Name })
				switch {
				case i < 0:
					t.Fatalf("%s is not held any more", held.Name)
				case !held.Policy.IsZero() && (merged.Held[i].Policy != held.Policy || merged.Held[i].Mode != held.Mode):
					t.Fatalf("%s is %+v, a record says %+v", held.Name, merged.Held[i], held)
				case !merged.Held[i].Lapses.IsZero() &&
					(held.Lapses.IsZero() || merged.Held[i].Lapses.Before(held.Lapses)):
					t.Fatalf("%s lapses at %s, a record says %s", held.Name, merged.Held[i].Lapses, held.Lapses)
				}
			}
			for _, rejection := range record.Rejections {
				if !slices.Contains(merged.Rejections, rejection) {
					t.Fatalf("%v is lost", rejection)
				}
			}
			refused = append(refused, record.Rejections...)
		}
		for _, rejection := range merged.Rejections {
			if !slices.Contains(refused, rejection) {
				t.Fatalf("%v is nobody's", rejection)
			}
		}
		if len(records) > 1 && !slices.IsSorted(names(merged.Held)) {
			t.Fatalf("%v is not sorted", names(merged.Held))
		}
	})
}

func TestAClusterOfAnotherReplicaCountsUntilItsLapseHasSurelyPassed(t *testing.T) {
	at := time.Unix(1000, 0)
	e := model.Envoy{Name: "e", Held: []model.HeldCluster{skipping("forever", time.Time{}), skipping("open", at)}}
	for after, want := range map[time.Duration][]string{
		-time.Second: {"forever", "open"}, 0: {"forever", "open"}, lapseMargin: {"forever", "open"},
		lapseMargin + 1: {"forever"},
	} {
		if got := names(unlapsed(e, at.Add(after)).Held); !slices.Equal(got, want) {
			t.Errorf("%s after the lapse it holds %v, want %v", after, got, want)
		}
	}
	if len(e.Held) != 2 {
		t.Error("the record itself was changed")
	}
}
