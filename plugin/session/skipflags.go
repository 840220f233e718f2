package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/plugin/edit"
)

// flags says which flags of a refused wish are in the way on a Gateway and what would
// be right, "" where no value of any is: the refusal itself names the fields of the
// GatewayParameters and of the policy, and those of the policy nobody typed.
func (p *Plan) flags(gateway gwapi.Key, wish edit.SkipVerify) string {
	allowance := resolve.AllowanceOf(p.next.Snapshot, gateway, p.policy.Namespace)
	if len(allowance.Modes) == 0 {
		return ""
	}
	var faults []string
	if !slices.Contains(allowance.Modes, wish.Mode) {
		var forms []string
		for _, mode := range allowance.Modes {
			forms = append(forms, onlyOf(mode))
		}
		faults = append(faults, onlyOf(wish.Mode)+" is not allowed; allowed: "+strings.Join(forms, " or "))
	}
	if allowance.Limited && wish.For > allowance.Longest {
		faults = append(faults, fmt.Sprintf("--for is %s: allowed is at most %s", Brief(wish.For), Brief(allowance.Longest)))
	}
	if allowance.NeedsReason && strings.TrimSpace(wish.Reason) == "" {
		faults = append(faults, `--reason is missing: say why, such as --reason "incident 4711"`)
	}
	return strings.Join(faults, "; ")
}

// onlyOf is how a mode is asked for.
func onlyOf(mode model.Mode) string {
	for only, each := range modes {
		if each == mode && only != "" {
			return "--only " + only
		}
	}
	return "leaving out --only"
}

// Brief is a duration as people type it: 2h, 1h30m.
func Brief(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
