package tui

import (
	"testing"

	"charm.land/bubbles/v2/key"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

func TestTheHelpAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			d := drive(t, newFake(shop()), size.width, size.height)
			d.until("api:443")
			d.press("?")
			d.until("PATHS")
			d.golden("help-" + size.name)
			d.press("?")
			d.await(func() bool { return len(d.app.stack) == 1 }, "the list")
		})
	}
}

func TestTheHelpIsOfTheScreenItIsAskedOn(t *testing.T) {
	d := drive(t, newFake(shop()), 160, 45)
	open(d, "api")
	d.press("?")
	d.until("SVC/API:443", "verify: ask every endpoint now")
	d.golden("help-detail-160x45")
	d.press("esc")
	d.await(func() bool { return len(d.app.stack) == 2 }, "the details")
}

func TestWhatMayNotBeDoneIsNotOfferedAndTheHelpSaysWhy(t *testing.T) {
	service := newFake(shop())
	service.forbidden = func(action session.Action, _ cliv1alpha1.PortReference) string {
		if action == session.ActionPin {
			return "you may not patch backendtlspolicies.gateway.networking.k8s.io in namespace shop"
		}
		return ""
	}
	d := drive(t, service, 160, 45)
	d.until("api:443")
	d.hides("p pin")
	d.shows("u unpin")
	d.press("p")
	d.until("pin svc/api: you may not patch backendtlspolicies.gateway.networking.k8s.io in namespace shop")
	d.press("?")
	d.until("NOT OFFERED HERE", "pin: you may not patch")
	d.golden("help-forbidden-160x45")
}

func TestWhatMayBeDoneIsAskedAgainWhenItMayHaveChanged(t *testing.T) {
	service := newFake(shop())
	asked, lacks := 0, ""
	service.forbidden = func(session.Action, cliv1alpha1.PortReference) string {
		asked++
		return lacks
	}
	d := drive(t, service, 160, 45)
	d.until("p pin")
	before := asked
	for range 10 {
		d.send(ticked{})
		d.screen()
	}
	if asked != before {
		t.Errorf("asked %d times for frames on which nothing has changed", asked-before)
	}
	// A verb that failed has taught the Service what lacks.
	lacks = "you may not patch"
	service.verify = answers(failing("api"))
	d.press("v")
	d.await(func() bool { return !d.app.stack[0].screen.(*list).verifying.running }, "the answers")
	d.hides("p pin")
}

func TestReadOnlyOffersNoChange(t *testing.T) {
	d := drive(t, newFake(shop()), 160, 45, func(c *Config) { c.ReadOnly = true })
	d.until("api:443", "read-only")
	d.hides("p pin", "u unpin", "r rotate", "s skip-verify")
	for _, key := range []string{"p", "u", "r", "s"} {
		d.press(key)
		d.until("--read-only was given")
		if len(d.app.stack) != 1 {
			t.Fatalf("%s went somewhere:\n%s", key, d.screen())
		}
	}
	d.press("?")
	d.until("NOT OFFERED HERE")
	d.golden("help-readonly-160x45")
}

// TestNoTwoKeysOfAScreenAreTheSame presses nothing: two bindings of a screen that
// share a key would hide one another.
func TestNoTwoKeysOfAScreenAreTheSame(t *testing.T) {
	for name, keys := range everywhere {
		t.Run(name, func(t *testing.T) {
			d := drive(t, crowded(), 80, 24)
			d.goTo(keys)
			bindings := append([]key.Binding{}, d.app.top().Keys()...)
			if !d.app.top().Typing() {
				bindings = append(bindings, keyHelp, keyQuit)
			}
			owner := map[string]key.Help{}
			for _, binding := range append(bindings, keyInterrupt) {
				for _, name := range binding.Keys() {
					if other, taken := owner[name]; taken && other != binding.Help() {
						t.Errorf("%s is %v and %v", name, other, binding.Help())
					}
					owner[name] = binding.Help()
				}
			}
		})
	}
}
