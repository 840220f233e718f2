package tui

import (
	"fmt"
	"slices"
	"testing"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// sizes are those at which every screen is looked at.
var sizes = []struct {
	name          string
	width, height int
}{{"80x24", 80, 24}, {"160x45", 160, 45}, {"40x10", 40, 10}}

// shop is a State with paths of every kind.
func shop() session.State {
	plaintext := path("plain")
	plaintext.Policy, plaintext.Verdict = nil, cliv1alpha1.Verdict{Result: "Plaintext"}
	unrouted := path("spare")
	unrouted.Gateway, unrouted.Route, unrouted.Listener, unrouted.Hostnames = nil, nil, "", nil
	long := passing("checkout-with-a-very-long-name")
	long.Gateway = &cliv1alpha1.ObjectReference{Kind: "Gateway", Namespace: "infrastructure", Name: "public"}
	return world(
		under(failing("api"), "InsecureSkipVerification", 2*time.Hour-102*time.Second),
		failing("basket"), long, path("orders"), plaintext, unrouted,
		under(passing("vendor"), "InsecureAllowExpired", 30*time.Minute),
	)
}

// many is a State with so many paths, svc/s000 and so on.
func many(n int) session.State {
	paths := make([]cliv1alpha1.Path, n)
	for i := range paths {
		paths[i] = failing(fmt.Sprintf("s%03d", i))
	}
	return world(paths...)
}

func TestTheListAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			d := drive(t, newFake(shop()), size.width, size.height)
			d.until("api:443")
			d.golden("list-" + size.name)
		})
	}
}

func TestTheListOfAllNamespacesNamesThem(t *testing.T) {
	state := shop()
	other := passing("ledger")
	other.Service.Namespace = "bank"
	state.Paths = append(state.Paths, other)
	d := drive(t, newFake(state), 160, 45, func(c *Config) { c.Scope = session.Scope{Namespace: "shop", All: true} })
	d.until("NAMESPACE", "ledger:443", "VERIFICATION OFF: svc/shop/api, 01:58:18 left", "all namespaces")
	d.golden("list-all-160x45")
}

func TestTheCursorStaysOnItsPathWhateverElseChanges(t *testing.T) {
	service := newFake(world(path("b"), path("c"), path("d")))
	d := drive(t, service, 80, 24)
	d.until("> b:443")
	d.press("down")
	d.shows("> c:443")
	service.states <- world(path("a"), path("b"), path("c"), path("d"))
	d.until("a:443")
	d.shows("> c:443")
	service.states <- world(path("a"), path("d"))
	d.await(func() bool { return len(d.app.desk.state.Paths) == 2 }, "the path to be gone")
	d.shows("> d:443")
}

func TestTheListScrollsNoFurtherThanItHasTo(t *testing.T) {
	d := drive(t, newFake(many(100)), 80, 24)
	d.until("> s000:443", "100 paths")
	for _, step := range []struct {
		keys         []string
		cursor, seen string
	}{
		{[]string{"end"}, "> s099:443", "s081"},
		{[]string{"up"}, "> s098:443", "s081"},
		{[]string{"pgup"}, "> s080:443", "s098"},
		{[]string{"g"}, "> s000:443", "s018"},
		{[]string{"down", "j", "j", "k"}, "> s002:443", "s000"},
		{[]string{"space"}, "> s020:443", "s002"},
		{[]string{"G"}, "> s099:443", "s081"},
		{[]string{"down"}, "> s099:443", "s081"},
	} {
		d.press(step.keys...)
		d.shows(step.cursor, step.seen)
	}
}

func TestTheFilterLeavesPathsWithEveryWord(t *testing.T) {
	d := drive(t, newFake(shop()), 80, 24)
	d.until("> api:443")
	d.press("/", "BASKET unTRUSTED")
	d.shows("filter > BASKET unTRUSTED", "> basket:443", "enter keep the filter")
	d.hides("orders")
	d.press("enter")
	d.shows(`1 of 7 paths with "BASKET unTRUSTED"`, "esc forget the filter")
	d.press("down", "up")
	d.press("/", "q?", "enter")
	d.shows("NO MATCH", `No path has "BASKET unTRUSTEDq?"`)
	d.press("/", "backspace", "backspace", "enter", "esc")
	d.shows("7 paths", "> basket:443")
	d.press("/", "api")
	d.press("esc")
	d.shows("7 paths", "orders:443")
}

func TestAFilterWithoutAMatchSaysSo(t *testing.T) {
	d := drive(t, newFake(shop()), 80, 24)
	d.until("> api:443")
	d.press("/", "nowhere", "enter")
	d.golden("list-nomatch-80x24")
	d.press("enter", "v", "p", "y")
	d.shows("NO MATCH")
	d.press("esc")
	d.shows("7 paths")
}

func TestANamespaceIsChosen(t *testing.T) {
	service := newFake(shop())
	d := drive(t, service, 80, 24)
	d.until("> api:443")
	d.press("n")
	d.until("> shop", "all namespaces", "bank")
	d.golden("picker-80x24")
	d.press("up", "up", "up")
	d.shows("> all namespaces")
	d.press("ba")
	d.shows("> bank")
	d.hides("> all namespaces")
	d.press("enter")
	d.until("READING", "namespace bank")
	service.states <- session.State{Scope: session.Scope{Namespace: "bank"}, Source: "context dev", At: noon, Now: noon}
	d.until("NO PATHS", "In namespace bank")
	d.press("n")
	d.until("namespace >")
	d.press("elsewhere")
	d.shows("> elsewhere")
	d.press("esc")
	d.until("NO PATHS")
	d.press("a")
	d.until("context dev, all namespaces", "READING")
	d.await(func() bool { return len(service.watched()) == 3 }, "the watch of all namespaces")
	d.press("a")
	d.until("namespace bank", "READING")
	want := []session.Scope{
		{Namespace: "shop"}, {Namespace: "bank"}, {Namespace: "bank", All: true}, {Namespace: "bank"},
	}
	d.await(func() bool { return len(service.watched()) == len(want) }, "the watches")
	if got := service.watched(); !slices.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
}

func TestAPathIsVerifiedFromTheList(t *testing.T) {
	service := newFake(world(path("api"), path("web")))
	service.verify = answers(failing("api"), passing("web"))
	d := drive(t, service, 80, 24)
	d.until("> api:443", "not probed")
	d.press("v")
	d.until("503")
	d.press("down", "v")
	d.until("passes", "in 90d")
	d.hides("not probed")
}

func TestWhatIsWrongWithTheFilesIsShown(t *testing.T) {
	state := shop()
	state.Problems = []cliv1alpha1.Problem{{
		File: "routes.yaml", Line: 12, Object: "HTTPRoute/shop/api", Message: "spec.rules[0]: backendRef names no port",
	}}
	state.Warnings = []string{"may not list secrets in namespace shop: CAs in Secrets are not seen"}
	d := drive(t, newFake(state), 80, 24)
	d.until("7 paths, 1 problem in the files, 1 warning (w shows them)")
	d.press("w")
	d.until("routes.yaml:12: HTTPRoute/shop/api: spec.rules[0]: backendRef names no port", "may not list secrets")
	d.golden("warnings-80x24")
	d.press("esc")
	d.until("> api:443")
}
