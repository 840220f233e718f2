package view

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
)

// endpoints prints the endpoints as each Gateway sees them, once where they see
// the same. A Gateway that refuses the path sends nothing to them, and one of
// another controller judges by itself: they speak only where nobody else does.
func (d Detail) endpoints(p *page, paths []cliv1alpha1.Path) {
	judging := slices.DeleteFunc(slices.Clone(paths), func(path cliv1alpha1.Path) bool {
		return path.Verdict.Result == assess.Refused || path.Verdict.Result == assess.Foreign
	})
	idle := len(judging) == 0
	title := idleEndpoints
	if idle {
		judging = paths
		if slices.ContainsFunc(paths, func(path cliv1alpha1.Path) bool { return path.Verdict.Result == assess.Foreign }) {
			title = foreignEndpoints
		}
	}
	seen := map[string]bool{}
	for _, path := range judging {
		encoded, err := json.Marshal(path.Endpoints)
		if err != nil || seen[string(encoded)] || len(path.Endpoints) == 0 {
			continue
		}
		switch {
		case idle:
		case len(seen) == 0:
			title = "ENDPOINTS"
		default:
			title = "ENDPOINTS as " + qualified(path.Gateway, path.Service.Namespace) + " sees them"
		}
		seen[string(encoded)] = true
		p.blank()
		p.line(d.Style.bold(title))
		endpointGroups(p, d.Style, d.Now, path.Endpoints, path.Verdict.Fix, d.Wide)
	}
}

// idleEndpoints is the title where requests are refused before they get there.
const idleEndpoints = "ENDPOINTS, judged by the policy as written; no request reaches them"

// foreignEndpoints is the title where another controller decides.
const foreignEndpoints = "ENDPOINTS, judged by the policy; another controller decides"

// endpointGroup is replicas that show the same certificate and verdict.
type endpointGroup struct {
	example cliv1alpha1.Endpoint
	members []string
}

func grouped(endpoints []cliv1alpha1.Endpoint) []endpointGroup {
	var groups []endpointGroup
	index := map[string]int{}
	for _, endpoint := range endpoints {
		key := endpoint.Result + "\x00" + endpoint.Reason + "\x00" + endpoint.Strict + "\x00" + endpoint.Advice
		if endpoint.Certificate != nil {
			key += "\x00" + endpoint.Certificate.CertSHA256
		} else {
			key += "\x00" + endpoint.Message
		}
		i, found := index[key]
		if !found {
			i = len(groups)
			index[key] = i
			groups = append(groups, endpointGroup{example: endpoint})
		}
		groups[i].members = append(groups[i].members, member(endpoint.Address, endpoint.Pod))
	}
	return groups
}

// member is an address and its pod.
func member(address, pod string) string {
	if pod == "" {
		return address
	}
	return address + " (" + pod + ")"
}

// endpointGroups prints the endpoints; told is the next step that has been named.
func endpointGroups(
	p *page, style Style, now time.Time, endpoints []cliv1alpha1.Endpoint, told *cliv1alpha1.Fix, withChecks bool,
) {
	groups := grouped(endpoints)
	for _, group := range groups {
		e := group.example
		p.wrapped("  ", 4, strings.Join(group.members, ", "))
		table := [][]string{{"Verdict:", endpointVerdict(style, e, len(groups) > 1)}}
		table = append(table, certificateRows(e.Certificate, now)...)
		if !withChecks && len(e.Checks) > 0 {
			table = append(table, []string{"Checks:", checksText(e.Checks)})
		}
		if e.Advice != "" && (told == nil || told.Message != e.Advice) {
			table = append(table, []string{"Next step:", e.Advice})
		}
		p.rows(4, table)
		if withChecks {
			checks(p, e.Checks)
		}
	}
}

// endpointVerdict is the verdict of one endpoint; why it is so is said above
// where there is no other.
func endpointVerdict(style Style, e cliv1alpha1.Endpoint, withMessage bool) string {
	text := resultCell(e.Result, e.Reason)
	if e.Reason != "" && e.Reason != e.Result && e.Reason != string(model.FaultForbidden) {
		text += " " + e.Reason
	}
	text = style.paintResult(e.Result, text)
	switch {
	case e.Result == assess.Passes && e.Strict != "":
		text += " under the mode that is in force; strict verification " + word(e.Strict)
	case e.Message != "" && (withMessage || e.Result == assess.Unjudged):
		text += ": " + e.Message
	}
	return text
}

func (s Style) paintResult(result, text string) string {
	return paint(s, cliv1alpha1.Verdict{Result: result}, text)
}

// certificateRows are the lines about a leaf.
func certificateRows(c *cliv1alpha1.Certificate, now time.Time) [][]string {
	if c == nil {
		return nil
	}
	issuer := "issued by " + c.Issuer
	if c.SelfSigned {
		issuer = "self-signed"
	}
	return [][]string{
		{"Subject:", orNone(c.Subject) + ", " + issuer},
		{"Names:", orNone(some(c.SANs, ", "))},
		{"Expires:", expiry(c.NotAfter.Time, now) + ", on " + c.NotAfter.UTC().Format(time.RFC3339)},
		{"Key:", c.Key + ", " + c.SPKISHA256},
	}
}

// checksText is each check and its outcome, in a line.
func checksText(list []cliv1alpha1.Check) string {
	var parts, left []string
	for _, check := range list {
		name := strings.ToLower(check.Check)
		if check.Outcome == "NotChecked" {
			left = append(left, name)
			continue
		}
		parts = append(parts, name+" "+outcome(check.Outcome))
	}
	if len(left) > 0 {
		parts = append(parts, "not checked: "+strings.Join(left, " "))
	}
	return strings.Join(parts, ", ")
}

func outcome(o string) string {
	switch o {
	case "Pass":
		return "ok"
	case "Fail":
		return "FAILS"
	default:
		return "not checked"
	}
}

// checks prints every check with what was compared.
func checks(p *page, list []cliv1alpha1.Check) {
	var table [][]string
	for _, check := range list {
		table = append(table, []string{check.Check, outcome(check.Outcome), check.Message})
	}
	p.rows(6, table)
}
