package resolve

import (
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

func TestTheShorterStreamDurationOfClassAndGatewayCounts(t *testing.T) {
	for name, c := range map[string]struct {
		class, gateway string
		want           time.Duration
	}{
		"of neither: the default":            {"{}", "{}", 0},
		"of the class alone":                 {"{maxStreamDuration: 90m}", "{}", 90 * time.Minute},
		"of the Gateway alone":               {"{}", "{maxStreamDuration: 30s}", 30 * time.Second},
		"the Gateway's is shorter":           {"{maxStreamDuration: 2h}", "{maxStreamDuration: 1h}", time.Hour},
		"the class's is shorter":             {"{maxStreamDuration: 1h}", "{maxStreamDuration: 2h}", time.Hour},
		"the class's bounds an unlimited":    {"{maxStreamDuration: 1h}", "{maxStreamDuration: Unlimited}", time.Hour},
		"the Gateway's bounds an unlimited":  {"{maxStreamDuration: Unlimited}", "{maxStreamDuration: 1h}", time.Hour},
		"unlimited for want of another word": {"{maxStreamDuration: Unlimited}", "{}", model.NoSessionLimit},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			got := Build(shaped(t, c.class, c.gateway).snap).Gateways[webKey]
			if got.SessionLimit != c.want || got.Unresolved {
				t.Errorf("limit %s, want %s; unresolved %v", got.SessionLimit, c.want, got.Unresolved)
			}
		})
	}
}

func TestAStreamDurationThatMakesNoSenseIsAFault(t *testing.T) {
	for _, value := range []string{"0s", "500ms", "-1h", "unlimited", "a day", `""`} {
		w := shaped(t, "{maxStreamDuration: 1h}", "{maxStreamDuration: "+value+"}")
		got := Build(w.snap).Gateways[webKey]
		fault := w.build().parametersOf(webKey).Fault
		if !strings.Contains(fault, "of-gateway spec.envoy.maxStreamDuration") || got.SessionLimit != time.Hour {
			t.Errorf("%s: fault %q, limit %s", value, fault, got.SessionLimit)
		}
	}
}

func TestParametersThatCannotBeReadLoosenNoStreamDuration(t *testing.T) {
	const day = 24 * time.Hour
	breaks := map[string]func(w *world){
		"the class's do not exist": func(w *world) {
			w.snap.Parameters = w.snap.Parameters.Without(gwapi.KeyOf("", "default", "of-class").NamespacedName())
		},
		"the class's have a fault": func(w *world) {
			w.snap.Faults = map[gwapi.Key]string{
				gwapi.KeyOf(gwapi.KindGatewayParameters, "default", "of-class"): "it is in two files",
			}
		},
		"the class's could not be read": func(w *world) {
			w.snap.Parameters = w.snap.Parameters.Without(gwapi.KeyOf("", "default", "of-class").NamespacedName())
			w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindGatewayParameters, Namespace: "default"}: "forbidden"}
		},
		"the class refers to another kind": func(w *world) {
			w.class("{group: \"\", kind: ConfigMap, name: of-class, namespace: default}")
		},
		"the class names no namespace": func(w *world) {
			w.class("{group: backendtls.dev, kind: GatewayParameters, name: of-class}")
		},
	}
	for name, broken := range breaks {
		for _, c := range []struct {
			gateway string
			want    time.Duration
		}{
			{"{maxStreamDuration: Unlimited}", day},
			{"{maxStreamDuration: 48h}", day},
			{"{}", day},
			{"{maxStreamDuration: 90m}", 90 * time.Minute},
		} {
			w := shaped(t, "{maxStreamDuration: Unlimited}", c.gateway)
			broken(w)
			got := Build(w.snap).Gateways[webKey]
			if limit := model.LimitSession(got.SessionLimit, model.Standard); limit != c.want || !got.Unresolved {
				t.Errorf("%s, Gateway %s: limit %s, want %s; unresolved %v", name, c.gateway, limit, c.want, got.Unresolved)
			}
		}
	}
	w := shaped(t, "{maxStreamDuration: Unlimited}", "{maxStreamDuration: Unlimited}")
	w.snap.Parameters = w.snap.Parameters.Without(gwapi.KeyOf("", "default", "of-gateway").NamespacedName())
	if limit := model.LimitSession(Build(w.snap).Gateways[webKey].SessionLimit, model.Standard); limit != day {
		t.Errorf("without the Gateway's: limit %s, want %s", limit, day)
	}
}

// class makes the class refer to something.
func (w *world) class(ref string) {
	w.t.Helper()
	w.add("apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: backendtls}\n" +
		"spec: {controllerName: backendtls.dev/gateway-controller, parametersRef: " + ref + "}")
}
