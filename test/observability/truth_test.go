package observability

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// hostile is a reason as nobody should write it.
const hostile = "renewal is late\nlevel=ERROR \x1b[31mfaked\u202e"

// TestWhatTheOperatorShows runs everything there is on one operator, because a
// process has one registry of metrics.
func TestWhatTheOperatorShows(t *testing.T) {
	s := open(t)
	s.policy(nil)
	s.eventually("the policy is reported on", func() bool { return s.degraded(s.live()) != nil })
	s.eventually("and counted", func() bool {
		return strings.Contains(s.scrape(), `backendtls_policy_degraded{gateway="web",gateway_namespace="shop",mode="Standard",name="api",namespace="shop"} 0`)
	})
	if events := s.events(); len(events) > 0 {
		t.Errorf("a strict policy is an Event: %q", events)
	}
	t.Run("a metric is never milder than status", s.testTruth)
	t.Run("each change is one Event", s.testEvents)
	t.Run("series have what their alerts and panels need", s.testSeries)
	t.Run("a series ends with its object", s.testEnd)
	t.Run("no secret is shown", s.testSecrets)
}

func (s *shop) degraded(policy client.Object) *metav1.Condition {
	if policy == nil {
		return nil
	}
	live := s.live()
	if live == nil || len(live.Status.Ancestors) == 0 {
		return nil
	}
	return meta.FindStatusCondition(live.Status.Ancestors[0].Conditions, "SecurityDegraded")
}

var degradedSeries = regexp.MustCompile(`(?m)^backendtls_policy_degraded\{.*mode="([A-Za-z]+)",name="api".*\} ([01])$`)

// testTruth switches a mode on and off, and scrapes all the while. Whenever
// status said SecurityDegraded=True before and after a scrape, what was scraped
// says so too.
func (s *shop) testTruth(t *testing.T) {
	const rounds = 12
	judged := 0
	judge := func() {
		before := s.degraded(s.live())
		scraped := degradedSeries.FindStringSubmatch(s.scrape())
		after := s.degraded(s.live())
		if before == nil || after == nil || before.Status != metav1.ConditionTrue || after.Status != metav1.ConditionTrue ||
			!before.LastTransitionTime.Equal(&after.LastTransitionTime) {
			return
		}
		judged++
		if scraped == nil || scraped[2] != "1" || scraped[1] == "Standard" {
			t.Fatalf("status says %s before and after, the metric %q", before.Reason, scraped)
		}
	}
	for round := range rounds {
		name := []string{"InsecureSkipVerification", "InsecureAllowExpired"}[round%2]
		s.policy(mode(name, hostile))
		if round%3 == 0 {
			s.policy(nil) // Back before anybody could look.
			s.policy(mode(name, hostile))
		}
		s.eventually("status says True", func() bool {
			judge()
			now := s.degraded(s.live())
			return now != nil && now.Status == metav1.ConditionTrue
		})
		judge()
		s.policy(nil)
		s.eventually("status says False", func() bool {
			judge()
			now := s.degraded(s.live())
			return now != nil && now.Status == metav1.ConditionFalse
		})
	}
	if judged < rounds {
		t.Errorf("only %d scrapes were judged", judged)
	}
	s.eventually("the metric says Standard in the end", func() bool {
		scraped := degradedSeries.FindStringSubmatch(s.scrape())
		return scraped != nil && scraped[2] == "0" && scraped[1] == "Standard"
	})
}

// events are the Events about the policy, as "type reason", in no order.
func (s *shop) events() []string {
	s.t.Helper()
	var list eventsv1.EventList
	if err := s.api.Client().List(s.t.Context(), &list, client.InNamespace("shop")); err != nil {
		s.t.Fatal(err)
	}
	texts := make([]string, 0, len(list.Items))
	for i := range list.Items {
		event := &list.Items[i]
		texts = append(texts, event.Type+" "+event.Reason)
		if strings.ContainsAny(event.Note, "\n\x1b\u202e") || len(event.Note) > 1024 {
			s.t.Errorf("a note is not one line of text: %q", event.Note)
		}
		if event.Type == corev1.EventTypeWarning && !strings.Contains(event.Note, `reason: "renewal is late\nlevel=ERROR \x1b[31mfaked\u202e"`) {
			s.t.Errorf("the reason is not quoted: %q", event.Note)
		}
	}
	return texts
}

// testEvents counts what a mode from beginning to end is told by, after
// everything before was told.
func (s *shop) testEvents(t *testing.T) {
	logged := func() int { return strings.Count(s.log.String(), `"msg":"event"`) }
	s.eventually("as many Events as were logged", func() bool { return len(s.events()) == logged() })
	before := s.events()
	s.policy(mode("InsecureSkipOnlySANVerification", hostile))
	s.eventually("one more", func() bool { return len(s.events()) == len(before)+1 })
	s.policy(nil)
	s.eventually("and another one", func() bool { return len(s.events()) == len(before)+2 })
	told := s.events()
	for _, want := range []string{"Warning SANVerificationSkipped", "Normal Strict"} {
		if len(slices.DeleteFunc(slices.Clone(told), func(e string) bool { return e != want })) <
			1+len(slices.DeleteFunc(slices.Clone(before), func(e string) bool { return e != want })) {
			t.Errorf("no new Event %q among %q", want, told)
		}
	}
	// An edit that changes nothing of what is said is none.
	s.policy(map[string]string{"min-tls-version": "1.2"})
	s.eventually("the edit is reported on", func() bool {
		live := s.live()
		now := s.degraded(live)
		return now != nil && now.ObservedGeneration == live.Generation
	})
	if now := len(s.events()); now != len(told) || now != logged() {
		t.Errorf("%d Events, %d lines, want %d", now, logged(), len(told))
	}
}

// testEnd removes the policy.
func (s *shop) testEnd(t *testing.T) {
	s.api.Delete(s.live())
	s.eventually("no series names it", func() bool { return !strings.Contains(s.scrape(), `name="api"`) })
	if !strings.Contains(s.scrape(), `backendtls_gateway_envoys{gateway="web"`) {
		t.Error("the Gateway's are gone too")
	}
}

// testSecrets looks for what the operator has read in what it has said, after
// errors about it were made on purpose.
func (s *shop) testSecrets(t *testing.T) {
	for _, options := range []map[string]string{
		{"client-certificate": "secret/client"},
		{"client-certificate": "secret/unreadable"},
		{"crl": "configmap/crl"},
		{"crl": "secret/front:tls.key"},
		{"trusted-certificates": "secret/unreadable:tls.key"},
		{"pins": "spki-sha256:hunter"},
	} {
		s.policy(options)
		s.eventually("the edit is reported on", func() bool {
			live := s.live()
			now := s.degraded(live)
			return now != nil && now.ObservedGeneration == live.Generation
		})
	}
	authority := &corev1.Secret{Namespace: system, Name: "backendtls-xds-ca"}
	if !s.api.Get(authority) {
		t.Fatal("no CA of xDS")
	}
	shown := s.log.String() + s.scrape() + fmt.Sprint(s.events())
	for key, value := range authority.Data {
		for line := range strings.SplitSeq(string(value), "\n") {
			if strings.HasSuffix(key, ".key") && len(line) >= 24 && !strings.HasPrefix(line, "-----") {
				s.secrets = append(s.secrets, line)
			}
		}
	}
	if len(s.secrets) < 8 || !strings.Contains(shown, "gateway/shop/web") {
		t.Fatalf("%d secrets, and a log of %d bytes", len(s.secrets), len(shown))
	}
	for _, secret := range s.secrets {
		if at := strings.Index(shown, secret); at >= 0 {
			t.Errorf("a secret is shown: %q", shown[max(0, at-200):min(len(shown), at+80)])
		}
	}
}

// number is the value of the one series that begins so.
func number(t *testing.T, text, series string) float64 {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			value, err := strconv.ParseFloat(rest, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Errorf("no series %s", series)
	return 0
}

// testSeries looks at the numbers.
func (s *shop) testSeries(t *testing.T) {
	const where = `{gateway="web",gateway_namespace="shop",name="api",namespace="shop"}`
	began := time.Now().Add(-2 * time.Second)
	options := mode("InsecureSkipVerification", hostile)
	options["crl"] = "configmap/crl"
	s.policy(options)
	s.eventually("it is counted", func() bool {
		return strings.Contains(s.scrape(), "backendtls_policy_mode_until_seconds"+where) &&
			s.degraded(s.live()).Status == metav1.ConditionTrue
	})
	text := s.scrape()
	until, err := time.Parse(time.RFC3339, options["mode-until"])
	if err != nil {
		t.Fatal(err)
	}
	if got := number(t, text, "backendtls_policy_mode_until_seconds"+where); int64(got) != until.Unix() {
		t.Errorf("until %v, want %d", got, until.Unix())
	}
	since := number(t, text, "backendtls_policy_degraded_since_seconds"+where)
	if since < float64(began.Unix()) || since > float64(time.Now().Unix()+1) {
		t.Errorf("since %v, which is not now", since)
	}
	if got := number(t, text, "backendtls_policy_accepted"+where); got != 1 {
		t.Errorf("accepted %v", got)
	}
	next := number(t, text, "backendtls_policy_crl_next_update_seconds"+where) - float64(time.Now().Unix())
	if next < 47*3600 || next > 48*3600 {
		t.Errorf("the CRL ends in %v s, want 48 h", next)
	}
	for series, want := range map[string]float64{
		`backendtls_gateway_backends{gateway="web",gateway_namespace="shop",tls="plaintext"}`: 1,
		`backendtls_gateway_fault{fault="parameters",gateway="web",gateway_namespace="shop"}`: 0,
		`backendtls_events_total{result="dropped"}`:                                           0,
	} {
		if got := number(t, text, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	for _, series := range []string{
		`backendtls_builds_total{result="whole"}`, `backendtls_build_duration_seconds_count`,
		`backendtls_xds_publications_total`, `backendtls_xds_ca_not_after_seconds`,
		`backendtls_status_writes_total{result="written"}`, `process_resident_memory_bytes`, `go_goroutines`,
	} {
		if got := number(t, text, series); got <= 0 {
			t.Errorf("%s is %v", series, got)
		}
	}
	s.testFamilies(t, text)
	s.policy(nil)
	s.eventually("it is strict again", func() bool { return s.degraded(s.live()).Status == metav1.ConditionFalse })
}
