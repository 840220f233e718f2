package matrix_test

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
)

const frontendFile = "../../docs/frontend-matrix.md"

// The outcomes of the frontend's cells.
const (
	refusedClient = "refused"
	dropped       = "dropped"
	refusedBy400  = "refused"
)

// TestTheFrontendMatrix asks Envoy about every cell and holds the answers
// against the documents.
func TestTheFrontendMatrix(t *testing.T) {
	filters := meddlers()
	h := newHouse(t, filters)
	h.open(t, nil)
	visitors := h.shop.visitors()
	page := frontendPage{
		visitors: visitors,
		verdicts: h.verdicts(t, visitors),
		claims:   h.claims(t, visitors[1]),
		filters:  h.refusedFilters(t, filters),
	}
	comparePage(t, frontendFile, page.text())
}

// verdicts are what each visitor is told to be behind each entrance that looks
// at certificates, however and how often it asks.
func (h *house) verdicts(t *testing.T, visitors []*visitor) map[*visitor]map[string]string {
	t.Helper()
	verdicts := map[*visitor]map[string]string{}
	for _, v := range visitors {
		verdicts[v] = map[string]string{}
		for _, at := range h.entrances {
			if at.clients == "" {
				continue
			}
			verdicts[v][at.title] = h.verdict(t, at, v)
			want := map[bool]string{true: "true", false: "false"}[v.good]
			if !v.good && !at.fallback {
				want = refusedClient
			}
			if got := verdicts[v][at.title]; got != want {
				t.Errorf("%s, %s: %s, want %s", at.title, v.title, got, want)
			}
		}
	}
	return verdicts
}

// verdict is the same for every version of TLS and of HTTP, at first and when
// the client offers the session that it had before, which Envoy does not take.
func (h *house) verdict(t *testing.T, at *entrance, v *visitor) string {
	t.Helper()
	found := map[string]string{}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, h2 := range []bool{false, true} {
			sessions := tls.NewLRUClientSessionCache(4)
			for _, attempt := range []string{"first", "again"} {
				how := fmt.Sprintf("%s, %s, %s, h2 %t, %s", at.title, v.title, tls.VersionName(version), h2, attempt)
				a := h.ask(t, at, visit{visitor: v, version: version, h2: h2, sessions: sessions})
				told, err := a.told(v)
				if err != nil {
					t.Errorf("%s: %v", how, err)
				}
				if a.resumed {
					t.Errorf("%s: the session was resumed", how)
				}
				found[told] = how
			}
		}
	}
	if len(found) != 1 {
		t.Errorf("it depends: %v", found)
	}
	for told := range found {
		return told
	}
	return ""
}

// TestSessionsAreResumedWhereNoCertificateIsAskedFor shows that the attempts to
// resume in the matrix are attempts.
func TestSessionsAreResumedWhereNoCertificateIsAskedFor(t *testing.T) {
	h := newHouse(t, nil)
	h.open(t, nil)
	anybody := h.shop.visitors()[0]
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		v := visit{visitor: anybody, version: version, sessions: tls.NewLRUClientSessionCache(4)}
		if first := h.ask(t, h.entrances[1], v); first.status != http.StatusOK || first.resumed {
			t.Errorf("%s: at first %+v", tls.VersionName(version), first)
		}
		if again := h.ask(t, h.entrances[1], v); again.status != http.StatusOK || !again.resumed {
			t.Errorf("%s: again %+v, want a resumed session", tls.VersionName(version), again)
		}
	}
}

// claim is a row of the second table: ways to send a header that only Envoy may
// write.
type claim struct {
	title   string
	sent    []http.Header
	trailer bool
	// want is dropped or refusedBy400.
	want string
}

// spellings are every way to write a name with hyphens and underscores.
func spellings(name string) (all []string) {
	parts := strings.Split(name, "-")
	for bits := range 1 << (len(parts) - 1) {
		text := parts[0]
		for i, part := range parts[1:] {
			text += map[bool]string{false: "-", true: "_"}[bits>>i&1 == 1] + part
		}
		all = append(all, text)
	}
	return all
}

func claims() []claim {
	hyphens := claim{title: "with hyphens", want: dropped}
	upper := claim{title: "in capitals", want: dropped}
	under := claim{title: "with one underscore or more", want: refusedBy400}
	other := claim{title: "with other separators: `. ! ~ + *`", want: dropped}
	twice := claim{title: "twice, and as a list", want: dropped}
	trailer := claim{title: "as a trailer", want: dropped, trailer: true}
	for _, name := range []string{certHeader, verifiedHeader} {
		for _, spelling := range spellings(name) {
			header := http.Header{spelling: {"true"}}
			if spelling == name {
				hyphens.sent = append(hyphens.sent, header)
				trailer.sent = append(trailer.sent, header)
				continue
			}
			under.sent = append(under.sent, header)
		}
		upper.sent = append(upper.sent, http.Header{strings.ToUpper(name): {"true"}}, http.Header{
			strings.Replace(name, "-c", "-C", 1): {"true"},
		})
		twice.sent = append(twice.sent, http.Header{name: {"true", "true"}}, http.Header{name: {"true, true"}})
		for _, separator := range []string{".", "!", "~", "+", "*"} {
			other.sent = append(other.sent, http.Header{strings.ReplaceAll(name, "-", separator): {"true"}})
		}
	}
	return []claim{hyphens, upper, twice, other, under, trailer}
}

// claims asks with each claim at each entrance.
func (h *house) claims(t *testing.T, verified *visitor) []claim {
	t.Helper()
	all := claims()
	for _, c := range all {
		for _, header := range c.sent {
			for _, at := range h.entrances {
				for _, h2 := range []bool{false, true} {
					h.claim(t, at, c, header, h2, verified)
				}
			}
		}
	}
	return all
}

// claim is told apart from what Envoy itself says: at the entrance with fallback
// the client has no certificate, at the one without the certificate is forwarded.
func (h *house) claim(t *testing.T, at *entrance, c claim, header http.Header, h2 bool, verified *visitor) {
	t.Helper()
	how := fmt.Sprintf("%s: %v, h2 %t, trailer %t", at.title, header, h2, c.trailer)
	v := visit{visitor: verified, h2: h2, header: header}
	if at.fallback {
		v.visitor = &visitor{}
	}
	if c.trailer {
		v.header, v.trailer = nil, header.Clone()
		v.trailer.Set("X-Other", "trailer")
	}
	a := h.ask(t, at, v)
	if c.want == refusedBy400 {
		// HTTP/2 has its stream reset.
		if a.refused || a.status != map[bool]int{false: http.StatusBadRequest}[h2] {
			t.Errorf("%s: %+v, want it refused", how, a)
		}
		return
	}
	if a.status != http.StatusOK {
		t.Errorf("%s: status %d", how, a.status)
		return
	}
	got := a.got.certificateHeaders()
	if at.clients == "" {
		if len(got) > 0 {
			t.Errorf("%s: the backend gets %v", how, got)
		}
		return
	}
	told, err := a.told(v.visitor)
	if want := fmt.Sprint(!at.fallback); err != nil || told != want {
		t.Errorf("%s: the backend gets %v (%v)", how, got, err)
	}
	if c.trailer && h2 && a.got.Trailer.Get("X-Other") == "" {
		t.Errorf("%s: trailers do not reach the backend at all, so nothing is shown", how)
	}
}

// TestEverySpellingIsDroppedEvenIfUnderscoresWereAdmitted: that headers with
// underscores are refused is not what keeps the backend from being lied to.
func TestEverySpellingIsDroppedEvenIfUnderscoresWereAdmitted(t *testing.T) {
	h := newHouse(t, nil)
	h.open(t, func(resources *envoy.Resources) { admitUnderscores(t, resources) })
	control := h.ask(t, h.entrances[0], visit{visitor: &visitor{}, header: http.Header{"x_other": {"1"}}})
	if len(control.got.Header["X_other"]) != 1 {
		t.Fatalf("underscores are not admitted: %+v", control)
	}
	for _, c := range claims() {
		c.want = dropped
		for _, header := range c.sent {
			for _, at := range h.entrances {
				h.claim(t, at, c, header, false, h.shop.visitors()[1])
			}
		}
	}
}

// meddlers are filters that name one of the headers, by the route that has them.
func meddlers() map[string]string {
	filters := map[string]string{}
	for _, name := range []string{certHeader, verifiedHeader} {
		all := append(spellings(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "."))
		for _, spelling := range all {
			for _, action := range []string{"set", "add", "remove"} {
				list := fmt.Sprintf(`{name: %q, value: "true"}`, spelling)
				if action == "remove" {
					list = fmt.Sprintf("%q", spelling)
				}
				filters[fmt.Sprintf("meddler-%d", len(filters))] = fmt.Sprintf(
					"{type: RequestHeaderModifier, requestHeaderModifier: {%s: [%s]}}", action, list)
			}
		}
	}
	return filters
}

// refusedFilters makes sure that a route with one of the filters is refused and
// answers 500.
func (h *house) refusedFilters(t *testing.T, filters map[string]string) int {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(filters)) {
		parents := h.reports.Reports[gwapi.KeyOf(gwapi.KindHTTPRoute, "default", name)].Parents
		if len(parents) != 1 {
			t.Fatalf("%s has %d parents", name, len(parents))
		}
		accepted := meta.FindStatusCondition(parents[0].Conditions, string(gatewayv1.RouteConditionAccepted))
		if accepted == nil || accepted.Status != metav1.ConditionFalse ||
			accepted.Reason != string(gatewayv1.RouteReasonUnsupportedValue) {
			t.Errorf("%s: %s: %+v", name, filters[name], accepted)
		}
		for _, at := range h.entrances[2:] {
			v := visit{visitor: h.shop.visitors()[1], host: name}
			if a := h.ask(t, at, v); a.status != http.StatusInternalServerError {
				t.Errorf("%s: %s: %+v, want 500", at.title, filters[name], a)
			}
		}
	}
	return len(filters)
}
