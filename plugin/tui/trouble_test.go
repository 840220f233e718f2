package tui

import (
	"testing"
	"time"

	"github.com/backendtls/backendtls/plugin/session"
)

func TestTheTroubleScreens(t *testing.T) {
	for name, trouble := range map[string]session.Trouble{
		"nogatewayapi": {
			Kind: session.NoGatewayAPI,
			Text: "context dev serves no kind of gateway.networking.k8s.io.",
			Next: "Install the standard channel of the Gateway API, v1.7.0 or newer, and then a Gateway implementation.",
		},
		"nogateways": {
			Kind: session.NoGateways,
			Text: "Namespace shop has no Gateway, and no route of it leads to one.",
			Next: "a looks at all namespaces, n at another one.",
		},
		"nothingvisible": {
			Kind: session.NothingVisible,
			Text: "You may not see what leads to Services in namespace shop.",
			Next: "Ask whoever runs the cluster for the ClusterRole backendtls-view.",
			Missing: []string{
				"list gateways.gateway.networking.k8s.io in namespace shop",
				"list httproutes.gateway.networking.k8s.io in namespace shop",
				"list services in namespace shop",
			},
		},
		"unreachable": {
			Kind: session.Unreachable,
			Text: "The API server of context dev does not answer: dial tcp 10.0.0.1:6443: connect: connection refused.",
			Next: "It is asked again every few seconds.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			state := world()
			state.Trouble = trouble
			for _, size := range sizes {
				d := drive(t, newFake(state), size.width, size.height)
				d.await(func() bool { return d.app.desk.known }, "the state")
				d.golden("trouble-" + name + "-" + size.name)
				d.press("enter", "p", "v", "y", "f", "down", "end")
				if len(d.app.stack) != 1 {
					t.Errorf("a key went somewhere:\n%s", d.screen())
				}
			}
		})
	}
}

func TestTheLastDataIsShownWithItsAgeWhileNobodyAnswers(t *testing.T) {
	now := noon
	service := newFake(world(failing("api")))
	d := drive(t, service, 80, 24, func(c *Config) { c.Now = func() time.Time { return now } })
	d.until("> api:443")
	gone := world(failing("api"))
	gone.Trouble = session.Trouble{Kind: session.Unreachable, Text: "connection refused"}
	service.states <- gone
	d.until("NO ANSWER, data is 0s old")
	if !d.app.ticking {
		t.Error("the age does not run")
	}
	now = now.Add(200 * time.Second)
	d.send(ticked{})
	d.shows("NO ANSWER, data is 3m20s old", "> api:443")
	d.golden("trouble-old-80x24")
	service.states <- world(failing("api"))
	d.await(func() bool { return d.app.desk.state.Trouble.Kind == session.NoTrouble }, "an answer")
	d.hides("NO ANSWER")
}

func TestBeforeAnythingIsKnown(t *testing.T) {
	d := drive(t, newFake(), 80, 24)
	d.until("READING")
	d.golden("loading-80x24")
	d.press("enter", "p", "v", "/", "x", "esc")
	d.shows("READING")
}

func TestAScopeWithoutPathsSaysSo(t *testing.T) {
	d := drive(t, newFake(world()), 80, 24)
	d.until("NO PATHS")
	d.golden("empty-80x24")
	all := drive(t, newFake(world()), 80, 24, func(c *Config) { c.Scope.All = true })
	all.until("NO PATHS", "No route leads to a Service")
}
