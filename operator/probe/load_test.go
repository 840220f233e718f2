package probe

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

// Of this many policies, each with a Service of this many endpoints, speak the
// tests and the benchmark of load.
const (
	policies  = 1000
	perPolicy = 5
)

// load makes the policies' Services.
func (w *world) load(r *running, ca authority, serve func(net.Conn)) (backends []model.Backend) {
	for i := range policies {
		name := fmt.Sprintf("service-%d", i)
		list := slice(name)
		for j := range perPolicy {
			address := netip.AddrFrom4([4]byte{10, 1 + byte(i/250), byte(i % 250), byte(j + 1)}).String()
			w.place(named(name, j), address, serve)
			list[0].Endpoints = append(list[0].Endpoints, endpoint(address, "", named(name, j)))
		}
		r.SetSlices(types.NamespacedName{Namespace: "shop", Name: name}, list)
		backends = append(backends, backend(name, ca.trust(name)))
	}
	return backends
}

// TestAThousandPoliciesAreCheckedWithinTheRate at the defaults: 5,000 endpoints
// each 5 minutes are 16.7 a second, of 20. Nobody may read Pods here, so that a
// check ends before its handshake and the test does not compute for minutes; the
// rate is that of checks.
func TestAThousandPoliciesAreCheckedWithinTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		var asked []types.NamespacedName
		var at []time.Time
		r := w.start(t, Config{Pod: func(_ context.Context, name types.NamespacedName) (*corev1.Pod, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			asked, at = append(asked, name), append(at, time.Now())
			return nil, apierrors.NewForbidden(corev1.Resource("pods"), name.Name, nil)
		}})
		defer r.stop()
		everything := gateway(web, w.load(r, ca, nil)...)
		everything.ProbeInterval = model.DefaultProbeInterval
		begun := time.Now()
		r.Put(gateways(everything))
		const intervals = 6
		pass(intervals * model.DefaultProbeInterval)
		perSecond, times := map[int]int{}, map[types.NamespacedName]int{}
		for i, name := range asked {
			perSecond[int(at[i].Sub(begun)/time.Second)]++
			times[name]++
		}
		for second, count := range perSecond {
			if count > DefaultRate {
				t.Errorf("second %d has %d", second, count)
			}
		}
		fewest := intervals
		for name, count := range times {
			if count > intervals {
				t.Errorf("%s was asked %d times in %d intervals", name, count, intervals)
			}
			fewest = min(fewest, count)
		}
		if len(times) != policies*perPolicy || fewest < intervals-3 {
			t.Errorf("%d endpoints were asked, one %d times only", len(times), fewest)
		}
		for _, b := range everything.Backends {
			if got := r.said(b); got != "5: unasked 5 Forbidden" {
				t.Fatalf("%s: %s", b.Service, got)
			}
		}
	})
}

// BenchmarkAThousandPolicies asks 5,000 endpoints once, in real handshakes whose
// other side is in the same process, as fast as may be.
func BenchmarkAThousandPolicies(b *testing.B) {
	w, ca := newWorld(), newAuthority(b)
	issuer, err := ca.ca.Issue(pki.Request{
		Name: "intermediate", CA: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 60),
	})
	if err != nil {
		b.Fatal(err)
	}
	leaf, err := issuer.Issue(pki.Request{
		Name: "leaf", DNS: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour * 24 * 60),
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		w.asked = nil
		r := w.start(b, Config{Rate: MostRate})
		backends := w.load(r, ca, presents(leaf))
		before := held()
		used := cpu(b)
		b.StartTimer()
		r.Put(gateways(gateway(web, backends...)))
		for complete(r) < policies {
			<-r.Changes()
		}
		b.StopTimer()
		asked := float64(policies * perPolicy)
		b.ReportMetric(float64(cpu(b)-used)/asked, "cpu-ns/handshake")
		b.ReportMetric(float64(held()-before)/asked, "held-B/endpoint")
		for _, backend := range backends {
			if got := r.said(backend); got != "5: 5 Verified" {
				b.Fatalf("%s: %s", backend.Service, got)
			}
		}
		r.stop()
		b.StartTimer()
	}
}

// complete counts the backends that have a verdict.
func complete(r *running) (count int) {
	for _, probed := range r.Probed() {
		if probed.Complete && probed.Endpoints == perPolicy {
			count++
		}
	}
	return count
}

// held is the memory in use, in bytes.
func held() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// cpu is the time that this process has computed, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
