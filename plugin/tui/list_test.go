package tui

import (
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

func TestTheListAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			d := drive(t, newFake(shop()), size.width, size.height)
			d.until("svc/api")
			d.golden("list-" + size.name)
		})
	}
}

func TestTheDetailsAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			service := newFake(shop())
			service.verify = answers(failing("basket"))
			d := drive(t, service, size.width, size.height)
			d.until("> ")
			d.press("down", "enter")
			d.until("> svc/basket")
			d.idle()
			d.golden("detail-" + size.name)
		})
	}
}
