package status

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// drain takes everything out of a queue as soon as it is there.
func drain(b *testing.B) queue {
	q := priorityqueue.New[gwapi.Key]("bench")
	b.Cleanup(q.ShutDown)
	go func() {
		for {
			key, ended := q.Get()
			if ended {
				return
			}
			q.Done(key)
		}
	}()
	return q
}

func reports(count int, at time.Time) report.Set {
	set := make(report.Set, count)
	for i := range count {
		set[gwapi.KeyOf(gwapi.KindHTTPRoute, "default", fmt.Sprintf("r%d", i))] = full()
	}
	set.Stamp(at)
	return set
}

// BenchmarkCompare is what a build costs that changes so many of 5,000 reports.
func BenchmarkCompare(b *testing.B) {
	for _, changes := range []int{0, 1, 5000} {
		b.Run(fmt.Sprintf("changed=%d", changes), func(b *testing.B) {
			w := New(Config{Leading: func() bool { return true }, Log: slog.New(slog.DiscardHandler), Now: time.Now})
			q := drain(b)
			now := time.Unix(1_000_000, 0)
			sets := []report.Set{reports(5000, now), reports(5000, now.Add(time.Minute))}
			for i := range changes {
				key := gwapi.KeyOf(gwapi.KindHTTPRoute, "default", fmt.Sprintf("r%d", i))
				changed := sets[1][key]
				changed.Generation++
				sets[1][key] = changed
			}
			w.Put(sets[0])
			w.compare(q, true)
			b.ReportAllocs()
			for round := 0; b.Loop(); round++ {
				w.Put(sets[(round+1)%2])
				w.compare(q, true)
			}
		})
	}
}
