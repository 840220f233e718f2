package resolve

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

func TestAnAllowanceIsTheStricterOfEveryRule(t *testing.T) {
	all := "[InsecureSkipVerification, InsecureAllowExpired, InsecureSkipOnlySANVerification]"
	for _, c := range []struct {
		name, class, gateway string
		modes                []model.Mode
		longest              time.Duration
		reason               bool
		rule                 string
	}{
		{"nothing refers to any parameters", "-", "-", nil, 0, false, "no GatewayParameters with spec.backendTLS"},
		{"no mode is listed", "-", "{}", nil, 0, false, "allowedModes is empty"},
		{
			"the defaults", "-", "{allowedModes: " + all + "}", model.Modes[1:], 24 * time.Hour, true,
			"spec.backendTLS of gatewayparameters/default/of-gateway",
		},
		{
			"any time, without a reason", "-", "{allowedModes: [InsecureAllowExpired], maxDuration: Unlimited, requireReason: false}",
			[]model.Mode{model.InsecureAllowExpired},
			0, false, "of-gateway",
		},
		{
			"the class and the Gateway", "{allowedModes: " + all + ", maxDuration: 2h, requireReason: false}",
			"{allowedModes: [InsecureAllowExpired], maxDuration: 90m}",
			[]model.Mode{model.InsecureAllowExpired},
			90 * time.Minute, true, "of-class and",
		},
		{"a namespace that is not selected", "-", "{allowedModes: " + all + ", namespaces: {matchLabels: {a: b}}}", nil, 0, false, "does not select"},
		{"a value that makes no sense", "-", "{allowedModes: " + all + ", maxDuration: soon}", nil, 0, false, "cannot be used"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := withParameters(t, c.class, c.gateway)
			got := AllowanceOf(w.snap, webKey, "default")
			if !slices.Equal(got.Modes, c.modes) || got.Longest != c.longest || got.Limited != (c.longest > 0) ||
				got.NeedsReason != c.reason || !strings.Contains(got.Rule, c.rule) {
				t.Errorf("%+v", got)
			}
			// What is allowed is what Build does not refuse.
			for _, mode := range model.Modes[1:] {
				w.askFor(mode, max(c.longest, time.Minute), "why")
				if allowed := w.build().state() != model.ModeRefused; allowed != slices.Contains(got.Modes, mode) {
					t.Errorf("%s is allowed: %t, but among %v", mode, allowed, got.Modes)
				}
			}
		})
	}
}

func TestAnAllowanceOfWhatCannotBeSeenIsNone(t *testing.T) {
	w := withParameters(t, "-", "{allowedModes: [InsecureSkipVerification]}")
	w.snap.Parameters = snapshot.Objects[*v1alpha1.GatewayParameters]{}
	w.snap.Unseen = map[snapshot.Scope]string{{Kind: gwapi.KindGatewayParameters, Namespace: "default"}: "forbidden"}
	if got := AllowanceOf(w.snap, webKey, "default"); len(got.Modes) > 0 || !strings.Contains(got.Rule, "unknown") {
		t.Errorf("%+v", got)
	}
	gone := gwapi.KeyOf(gwapi.KindGateway, "default", "gone")
	if got := AllowanceOf(w.snap, gone, "default"); len(got.Modes) > 0 || !strings.Contains(got.Rule, "does not exist") {
		t.Errorf("%+v", got)
	}
}
