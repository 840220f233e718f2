package resolve

import (
	"crypto/x509"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// countedAt is what is counted of policy api on gateway/web.
func (p built) countedAt() (model.Standing, bool) {
	for _, standing := range p.counted() {
		if standing.Policy == policyKey && standing.Gateway == webKey {
			return standing, true
		}
	}
	return model.Standing{}, false
}

// edit replaces policy api as a user does: its status stays.
func (w *world) edit(replace func()) {
	before, _ := w.snap.TLSPolicies.Get(policyKey.NamespacedName())
	replace()
	after, _ := w.snap.TLSPolicies.Get(policyKey.NamespacedName())
	after.Status = before.Status
}

// TestWhatIsCountedIsNeverMilderThanStatus walks at random through modes, their
// ends, Envoys that hold on to them, builds whose status is written late or
// never, and routes that go away. Whatever stands in the status that a reader
// could see before or after the build, the metric is not 0 while it says
// SecurityDegraded=True, and names a mode that covers it.
func TestWhatIsCountedIsNeverMilderThanStatus(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for walk := range 40 {
		w := windowed(t)
		reaches := w.allReaches()
		for step := range 25 {
			w.snap.Now = noon.Add(time.Duration(random.IntN(120)-20) * time.Minute)
			switch random.IntN(6) {
			case 0:
				w.edit(func() { w.askFor(model.Modes[1+random.IntN(3)], time.Hour, "why") })
			case 1:
				w.edit(func() { w.policy("api", trustSpec("CA", model.Standard)) })
			case 2:
				w.envoys(holding("envoy-1", model.Modes[random.IntN(len(model.Modes))]))
			case 3:
				w.envoys()
			case 4:
				w.reaches = nil
			case 5:
				w.reaches = reaches[:0:0]
			}
			p := w.build()
			standing, found := p.countedAt()
			object, _ := w.snap.TLSPolicies.Get(policyKey.NamespacedName())
			before := map[string]metav1.Condition{}
			for _, condition := range liveEntryOf(object, webKey) {
				before[condition.Type] = condition
			}
			for when, conditions := range map[string]map[string]metav1.Condition{
				"before": before, "after": p.entry(policyKey, webKey),
			} {
				condition := conditions[report.PolicySecurityDegraded]
				if condition.Status != metav1.ConditionTrue {
					continue
				}
				mode := modeOf(condition.Reason)
				if !found || broader(standing.Mode, mode) != standing.Mode || standing.Since.IsZero() {
					t.Fatalf("walk %d step %d: status says %s %s the write, counted is %+v", walk, step, mode, when, standing)
				}
			}
			if random.IntN(3) > 0 {
				w.readBack(p)
			}
		}
	}
}

func TestAModeIsCountedWithItsTimes(t *testing.T) {
	w := windowed(t)
	w.envoys()
	w.snap.Now = noon.Add(time.Minute)
	w.readBack(w.build())
	w.snap.Now = noon.Add(10 * time.Minute)
	want := model.Standing{
		Policy: policyKey, Gateway: webKey, Mode: model.InsecureSkipVerification,
		Since: noon.Add(time.Minute), Until: noon.Add(time.Hour), Accepted: true,
	}
	if got, _ := w.build().countedAt(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	w.snap.Now = noon.Add(2 * time.Hour)
	p := w.build()
	if got, _ := p.countedAt(); got.Mode != model.InsecureSkipVerification || !got.Until.Equal(want.Until) {
		t.Errorf("status still says it: got %+v", got)
	}
	w.readBack(p)
	if got, _ := w.build().countedAt(); got.Mode != model.Standard || !got.Since.IsZero() || !got.Until.IsZero() {
		t.Errorf("after its end: got %+v", got)
	}
	w.policy("api", trustSpec("CA", model.Standard)+"\n  hostname: 127.0.0.1\n")
	w.snap.TLSPolicies = w.snap.TLSPolicies.Without(policyKey.NamespacedName())
	if got, found := w.build().countedAt(); found {
		t.Errorf("a policy that is gone is counted: %+v", got)
	}
}

func TestAPolicyThatAnswers500IsCountedAsNotAccepted(t *testing.T) {
	w := withParameters(t, "-", "-")
	w.askFor(model.InsecureSkipVerification, time.Hour, "why")
	if got, found := w.build().countedAt(); !found || got.Accepted || got.Mode != model.Standard {
		t.Errorf("got %+v", got)
	}
}

func TestRevocationEndsWithTheFirstIssuerThatHasNoListAnyMore(t *testing.T) {
	list := func(issuer string, hours int) *x509.RevocationList {
		l := &x509.RevocationList{RawIssuer: []byte(issuer)}
		if hours != 0 {
			l.NextUpdate = noon.Add(time.Duration(hours) * time.Hour)
		}
		return l
	}
	for sentence, c := range map[string]struct {
		lists []*x509.RevocationList
		want  time.Time
	}{
		"no list":                        {nil, time.Time{}},
		"one":                            {[]*x509.RevocationList{list("a", 5)}, noon.Add(5 * time.Hour)},
		"two issuers":                    {[]*x509.RevocationList{list("a", 5), list("b", 3)}, noon.Add(3 * time.Hour)},
		"an old list beside its newer":   {[]*x509.RevocationList{list("a", -5), list("a", 7)}, noon.Add(7 * time.Hour)},
		"the newer one first":            {[]*x509.RevocationList{list("a", 7), list("a", -5)}, noon.Add(7 * time.Hour)},
		"one that never ends":            {[]*x509.RevocationList{list("a", 0), list("a", 7)}, time.Time{}},
		"one that never ends, and other": {[]*x509.RevocationList{list("a", 7), list("a", 0), list("b", 9)}, noon.Add(9 * time.Hour)},
	} {
		if got := revocationEnds(c.lists); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", sentence, got, c.want)
		}
	}
}
