package resolve

import (
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/model"
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
