package ledger

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// lapseMargin is how long after its lapse another replica's cluster still
// counts as held: the clocks of two replicas are not one.
const lapseMargin = 5 * time.Second

// merge is what all records of one Envoy say together. The ones of live streams
// beat the ones of ended streams: on its stream an Envoy says itself what it
// has. Of those that count it holds what any says, it settled what all say, and
// it refused what any says.
func merge(records []model.Envoy) model.Envoy {
	if len(records) == 1 {
		return records[0]
	}
	counting := slices.DeleteFunc(slices.Clone(records), func(e model.Envoy) bool { return !e.Connected })
	if len(counting) == 0 {
		counting = records
	}
	return model.Envoy{
		Name:       records[0].Name,
		Connected:  counting[0].Connected,
		Settled:    settledByAll(counting),
		Held:       heldByAny(counting, records),
		Rejections: rejectedByAny(counting),
	}
}

// settledByAll are the shares on which all agree.
func settledByAll(records []model.Envoy) map[gwapi.Key]string {
	settled := maps.Clone(records[0].Settled)
	for _, other := range records[1:] {
		maps.DeleteFunc(settled, func(key gwapi.Key, share string) bool {
			theirs, some := other.Settled[key]
			return !some || theirs != share
		})
	}
	return settled
}

// heldByAny are the clusters that any of the records holds. A replica that
// started after a cluster was published may know its name only; whoever else
// knows more of it, also from an ended stream, tells whose it is.
func heldByAny(counting, all []model.Envoy) []model.HeldCluster {
	held := map[string]model.HeldCluster{}
	for _, record := range counting {
		for _, cluster := range record.Held {
			if before, some := held[cluster.Name]; some {
				cluster = join(before, cluster)
			}
			held[cluster.Name] = cluster
		}
	}
	for _, record := range all {
		for _, known := range record.Held {
			cluster, some := held[known.Name]
			if some && cluster.Unknown && !known.Unknown {
				cluster.Policy, cluster.Mode, cluster.Unknown = known.Policy, known.Mode, false
				held[known.Name] = cluster
			}
		}
	}
	return slices.SortedFunc(maps.Values(held), func(a, b model.HeldCluster) int { return cmp.Compare(a.Name, b.Name) })
}

// join is two words about one cluster: of two lapses the later counts, of two
// descriptions the one that knows more than the name. A name stands for one
// trust, so those that do are the same.
func join(a, b model.HeldCluster) model.HeldCluster {
	if a.Unknown {
		a.Policy, a.Mode, a.Unknown = b.Policy, b.Mode, b.Unknown
	}
	if a.Lapses.IsZero() || b.Lapses.IsZero() {
		a.Lapses = time.Time{}
	} else if b.Lapses.After(a.Lapses) {
		a.Lapses = b.Lapses
	}
	return a
}

// rejectedByAny are all refusals, sorted.
func rejectedByAny(records []model.Envoy) []model.Rejection {
	var rejections []model.Rejection
	for _, record := range records {
		rejections = append(rejections, record.Rejections...)
	}
	slices.SortFunc(rejections, func(a, b model.Rejection) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(rejections)
}

// unlapsed is the record without the clusters whose time to live has ended.
func unlapsed(e model.Envoy, now time.Time) model.Envoy {
	lapsed := func(c model.HeldCluster) bool { return !c.Lapses.IsZero() && now.After(c.Lapses.Add(lapseMargin)) }
	if slices.ContainsFunc(e.Held, lapsed) {
		e.Held = slices.DeleteFunc(slices.Clone(e.Held), lapsed)
	}
	return e
}
