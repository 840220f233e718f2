package probe

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

var errUnanswered = errors.New("the API server does not answer")

func TestAnEndpointIsAskedOncePerIntervalHoweverManyWantToKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		w.deploy(r, "api", 0, 3, presents(ca.good))
		// The same pods behind two Services, a policy for each, on two Gateways.
		r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "twin"}, slice("twin",
			endpoint("10.0.0.1", "", "api-0"), endpoint("10.0.0.2", "", "api-1"), endpoint("10.0.0.3", "", "api-2")))
		one, two := backend("api", ca.trust("one")), backend("twin", ca.trust("two"))
		r.Put(gateways(gateway(web, one, two), gateway(other, one, two)))
		pass(soon + time.Second)
		for _, b := range []model.Backend{one, two} {
			if got := r.said(b); got != "3: 3 Verified" {
				t.Errorf("%s: %s", b.Service, got)
			}
		}
		const intervals = 20
		pass(intervals * interval)
		times := w.dials()
		for address, times := range times {
			if times > intervals+1 || times < intervals*9/10-2 {
				t.Errorf("%s was asked %d times in %d intervals", address, times, intervals)
			}
		}
		if len(times) != 3 {
			t.Errorf("asked were %v", times)
		}
		last := map[netip.AddrPort]time.Time{}
		for _, d := range sortedTimes(w.log()) {
			if before, again := last[d.address]; again && d.at.Sub(before) < interval {
				t.Errorf("%s was asked again after %s", d.address, d.at.Sub(before))
			}
			last[d.address] = d.at
		}
	})
}

func TestWhatBeganTogetherSpreadsOverTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 40, presents(ca.good))
		begun := time.Now()
		pass(4 * interval)
		// Of the third round, no quarter of an interval has more than its share by far.
		quarters := map[int]int{}
		for _, d := range w.log() {
			if since := d.at.Sub(begun); since > 3*interval {
				quarters[int(since*4/interval)]++
			}
		}
		total := 0
		for quarter, count := range quarters {
			total += count
			if count > 25 {
				t.Errorf("quarter %d has %d of 40", quarter, count)
			}
		}
		if total < 30 {
			t.Errorf("%d of 40 were asked in an interval", total)
		}
	})
}

func TestTheBoundsHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const services, pods, concurrency, rate = 10, 8, 4, 5.0
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{Concurrency: concurrency, Rate: rate, Timeout: 3 * time.Second})
		defer r.stop()
		var backends []model.Backend
		for i := range services {
			name := named("service", i)
			backends = append(backends, backend(name, ca.trust("all")))
			w.deploy(r, name, byte(i), pods, silent)
		}
		r.Put(gateways(gateway(web, backends...)))
		pass(5 * interval)
		most, ofOne := w.peaks()
		if most != concurrency {
			t.Errorf("%d were asked at a time, the bound is %d", most, concurrency)
		}
		if ofOne != 1 {
			t.Errorf("%d of one Service were asked at a time, the bound is 1", ofOne)
		}
		log := sortedTimes(w.log())
		for i := 1; i < len(log); i++ {
			if apart := log[i].at.Sub(log[i-1].at); apart < time.Duration(float64(time.Second)/rate) {
				t.Fatalf("two were begun within %s", apart)
			}
		}
		// The slots are used: 3 s each, 4 at a time would be 400.
		if least := int(5*interval/(3*time.Second)) * concurrency * 2 / 3; len(log) < least {
			t.Errorf("%d were asked, want at least %d", len(log), least)
		}
	})
}

func TestASilentServiceDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{Concurrency: 2})
		defer r.stop()
		hostile, good := backend("hostile", ca.trust("hostile")), backend("good", ca.trust("good"))
		r.Put(gateways(gateway(web, hostile, good)))
		w.deploy(r, "hostile", 0, 200, silent)
		w.deploy(r, "good", 1, 5, presents(ca.good))
		pass(10 * time.Second)
		if got := r.said(good); got != "5: 5 Verified" {
			t.Errorf("beside a Service that never answers: %s", got)
		}
	})
}

func TestOnlyTheReplicaThatLeadsAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, ca := newWorld(), newWorld(), newAuthority(t)
		b := backend("api", ca.trust("api"))
		a, z := first.start(t, Config{}), second.start(t, Config{})
		defer a.stop()
		defer z.stop()
		z.lead(false)
		for w, r := range map[*world]*running{first: a, second: z} {
			w.deploy(r, "api", 0, 4, presents(ca.good))
			r.Put(gateways(gateway(web, b)))
		}
		pass(10 * interval)
		if len(second.log()) > 0 || z.said(b) != "nothing" {
			t.Fatalf("a follower asked %v and says %s", second.log(), z.said(b))
		}
		a.lead(false)
		synctest.Wait()
		before := len(first.log())
		if a.said(b) != "nothing" {
			t.Errorf("who leads no more says %s", a.said(b))
		}
		z.lead(true)
		pass(10 * interval)
		if len(first.log()) != before {
			t.Error("who leads no more goes on asking")
		}
		if got := z.said(b); got != "4: 4 Verified" {
			t.Errorf("the new leader says %s", got)
		}
		a.lead(true)
		synctest.Wait()
		if got := a.said(b); got != "nothing" {
			t.Errorf("a new term begins with %s", got)
		}
	})
}

func TestLosingTheLeaseEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{Timeout: time.Minute})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		ended := make(chan time.Time, 1)
		w.deploy(r, "api", 0, 1, func(conn net.Conn) { silent(conn); ended <- time.Now() })
		r.Put(gateways(gateway(web, b)))
		pass(soon + time.Second)
		if open := w.connected(); open != 1 {
			t.Fatalf("%d connections, want one that waits", open)
		}
		lost := time.Now()
		r.lead(false)
		if at := <-ended; !at.Equal(lost) {
			t.Errorf("it ended %s after the lease was lost", at.Sub(lost))
		}
		synctest.Wait()
		if got := r.said(b); got != "nothing" {
			t.Errorf("what was broken off says %s", got)
		}
		// Nobody was told, but the lease is gone all the same.
		w.deploy(r, "api", 0, 1, presents(ca.good))
		r.lead(true)
		pass(soon + time.Second)
		if got := r.said(b); got != "1: 1 Verified" {
			t.Errorf("with the lease: %s", got)
		}
		r.leading.Store(false)
		w.deploy(r, "api", 0, 2, silent)
		before := len(w.log())
		pass(interval)
		if after := len(w.log()); after != before {
			t.Errorf("%d were dialled without the lease", after-before)
		}
		if got := r.said(b); got != "nothing" {
			t.Errorf("without the lease it says %s", got)
		}
	})
}

func TestAChangeIsCheckedSoonAndWhatWasBeforeIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		before := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, before)))
		w.deploy(r, "api", 0, 3, presents(ca.good))
		pass(5 * time.Second)
		if got := r.said(before); got != "3: 3 Verified" {
			t.Fatal(got)
		}
		trust := ca.trust("api")
		trust.SNI, trust.Names = "b.example.com", []model.Name{{Kind: model.DNS, Value: "b.example.com"}}
		after := backend("api", trust)
		r.Put(gateways(gateway(web, after)))
		if got := r.said(before); got != "nothing" {
			t.Errorf("of the policy that was: %s", got)
		}
		if got := r.said(after); got != "0: so far" && got != "3: so far" {
			t.Errorf("before anybody was asked: %s", got)
		}
		pass(5 * time.Second)
		if got := r.said(after); got != "3: 3 HostnameMismatch" {
			t.Errorf("within seconds: %s", got)
		}
		// Another pod in place of one: the address that was is not asked again.
		w.place("api-9", "10.0.0.9", presents(ca.good))
		r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "api"}, slice("api", endpoint("10.0.0.9", "", "api-9")))
		at := len(w.log())
		pass(calm + sweep + 2*interval)
		for _, d := range w.log()[at:] {
			if d.address.Addr() != netip.MustParseAddr("10.0.0.9") {
				t.Errorf("%s was asked after it was gone", d.address)
			}
		}
		if got := r.said(after); got != "1: 1 HostnameMismatch" {
			t.Errorf("of the new pod: %s", got)
		}
	})
}

func TestOnlyAChangedVerdictIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 10, presents(ca.good))
		news := 0
		listen := func(d time.Duration) {
			for end := time.After(d); ; {
				select {
				case <-r.Changes():
					news++
				case <-end:
					return
				}
			}
		}
		listen(10 * time.Second)
		// That they have begun, and what came of it.
		if news == 0 || news > 2 {
			t.Errorf("%d builds for the first checks of ten endpoints", news)
		}
		found := r.Probed()[keyOf(b)].Found
		news = 0
		listen(20 * interval)
		if news != 0 || !r.Probed()[keyOf(b)].Found.Equal(found) {
			t.Errorf("%d builds although nothing changed: %+v", news, r.Probed()[keyOf(b)])
		}
		// A renewed certificate changes the date that metrics show, and no verdict.
		renewed, err := ca.ca.Issue(pki.Request{
			Name: "renewed", DNS: []string{host},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(r, "api", 0, 10, presents(renewed))
		listen(3 * interval)
		if got := r.Probed()[keyOf(b)].NotAfter; news != 0 || !got.Equal(renewed.Certificate.NotAfter) {
			t.Errorf("%d builds for a renewal, the first end is %s", news, got)
		}
	})
}

// TestWhoeverAnswersDifferentlyEachTimeCausesFewBuilds: a backend's owner could
// otherwise keep the operator and the API server busy.
func TestWhoeverAnswersDifferentlyEachTimeCausesFewBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		turn := 0
		w.deploy(r, "api", 0, 100, func(conn net.Conn) {
			w.mu.Lock()
			turn++
			good := turn%2 == 0
			w.mu.Unlock()
			if good {
				presents(ca.good)(conn)
				return
			}
			stranger, err := pki.SelfSigned(pki.Request{
				Name: "stranger", DNS: []string{host}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			})
			if err != nil {
				t.Error(err)
				return
			}
			presents(stranger)(conn)
		})
		news := 0
		for end := time.After(5 * interval); ; {
			select {
			case <-r.Changes():
				news++
				continue
			case <-end:
			}
			break
		}
		if most := int(5*interval/calm) + 2; news > most {
			t.Errorf("%d builds in %s, want %d at most", news, 5*interval, most)
		}
	})
}

func TestAPodThatEndsIsNoVerdictBeforeItWasAskedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 1, nil) // Refuses connections.
		pass(soon + time.Second)
		if got := r.said(b); len(w.log()) != 1 || strings.Contains(got, "Unreachable") {
			t.Errorf("after %d refusals: %s", len(w.log()), got)
		}
		pass(again + time.Second)
		if got := r.said(b); got != "1: 1 Unreachable" {
			t.Errorf("after two: %s", got)
		}
	})
}

// TestAVerdictThatNobodyRenewsIsDropped: with more endpoints than the rate is
// enough for, or a cluster that does not answer, an old verdict is not current.
func TestAVerdictThatNobodyRenewsIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 2, presents(ca.good))
		pass(5 * time.Second)
		w.mu.Lock()
		w.podError = errUnanswered
		w.mu.Unlock()
		pass(2 * interval)
		if got := r.said(b); got != "2: 2 Verified" {
			t.Errorf("a while without answers: %s", got)
		}
		pass((countsFor + keptFor + 1) * interval)
		if got := r.said(b); got != "2: so far" {
			t.Errorf("long without answers: %s", got)
		}
	})
}

// TestTheLogSaysThatPodsCannotBeRead once a minute, however many they are, and no
// status repeats what the API server said.
func TestTheLogSaysThatPodsCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		w.podError = errUnanswered
		var log bytes.Buffer
		r := w.start(t, Config{Log: slog.New(slog.NewJSONHandler(&log, nil))})
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 50, presents(ca.good))
		const minutes = 5
		pass(minutes*complaints - time.Second)
		if got := r.said(b); got != "50: so far" {
			t.Errorf("without Pods: %s", got)
		}
		r.stop() // From here on nothing is logged.
		lines := strings.Count(log.String(), errUnanswered.Error())
		if lines > minutes || lines < minutes-1 || !strings.Contains(log.String(), `"pod":"shop/api-`) {
			t.Errorf("%d lines in %d minutes:\n%s", lines, minutes, log.String())
		}
	})
}
