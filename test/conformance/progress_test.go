package conformance

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// progress tells at the terminal which tests have ended, and how.
type progress struct {
	all   int
	began time.Time

	lock   sync.Mutex
	starts map[string]time.Time
	ended  int
	failed []string
}

// measure notes when each test begins, which the suite does not tell.
func (p *progress) measure(measured []suite.ConformanceTest) {
	if p.starts == nil {
		p.starts = map[string]time.Time{}
	}
	for i := range measured {
		test, name := measured[i].Test, measured[i].ShortName
		measured[i].Test = func(t *testing.T, judge *suite.ConformanceTestSuite) {
			p.lock.Lock()
			p.starts[name] = time.Now()
			p.lock.Unlock()
			test(t, judge)
		}
	}
}

// done is called at the end of every test, of several at once.
func (p *progress) done(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.ended++
	verdict := "ok  "
	switch {
	case t.Failed():
		verdict = "FAIL"
		p.failed = append(p.failed, test.ShortName)
	case t.Skipped():
		verdict = "skip"
		p.failed = append(p.failed, test.ShortName+" (skipped)")
	}
	var took time.Duration
	if start, began := p.starts[test.ShortName]; began {
		took = time.Since(start)
	}
	say("%3d/%d %s %6.1f s  %s", p.ended, p.all, verdict, took.Seconds(), test.ShortName)
}

// end sums up. A test that skipped itself proves nothing, and counts as failed.
func (p *progress) end(t *testing.T) {
	t.Helper()
	p.lock.Lock()
	defer p.lock.Unlock()
	took := time.Since(p.began).Round(time.Second)
	if len(p.failed) == 0 {
		say("all %d tests passed in %s", p.ended, took)
		return
	}
	slices.Sort(p.failed)
	say("%d of %d tests failed in %s: %s", len(p.failed), p.ended, took, strings.Join(p.failed, ", "))
	t.Fail()
}
