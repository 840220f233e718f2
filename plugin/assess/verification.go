package assess

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Verifications answers for each port and each trust that a Gateway enforces on
// it; with ignoreMode, by the policy as written.
func (a *Assessor) Verifications(ports []collect.Port, ignoreMode bool) []cliv1alpha1.Verification {
	list := []cliv1alpha1.Verification{}
	for _, port := range ports {
		for _, group := range a.grouped(port, ignoreMode) {
			list = append(list, a.verification(port, group, ignoreMode))
		}
	}
	return list
}

// enforced is one trust of a port and the Gateways that enforce it.
type enforced struct {
	path     model.Path
	gateways []gwapi.Key
	// controller is that of the Gateways where it is another one's.
	controller string
}

// grouped joins the paths of our Gateways that come to the same, and those of
// each other controller whose answer can be known; where no Gateway is ours, of
// every other. A port that no Gateway reaches is judged as one of ours would.
func (a *Assessor) grouped(port collect.Port, ignoreMode bool) []enforced {
	var groups, others []enforced
	seen := map[string]int{}
	for _, path := range port.Paths {
		path = a.known(port, path)
		if who := a.other(path); who != "" {
			others = append(others, enforced{path: path, gateways: []gwapi.Key{path.Gateway}, controller: who})
		}
		if !path.Ours {
			continue
		}
		if ignoreMode {
			path = asWritten(port, path)
		}
		key := path.FaultReason + "\x00" + path.Fault
		if path.Policy != nil {
			key += "\x00" + path.Policy.Trust.Digest() + "\x00" + string(path.Policy.State)
		}
		if i, found := seen[key]; found {
			groups[i].gateways = append(groups[i].gateways, path.Gateway)
			continue
		}
		seen[key] = len(groups)
		groups = append(groups, enforced{path: path, gateways: []gwapi.Key{path.Gateway}})
	}
	if len(groups) > 0 {
		others = slices.DeleteFunc(others, func(group enforced) bool { return !implementationOf(group.controller).judged })
	}
	groups = append(groups, a.joined(port, others)...)
	if len(groups) == 0 {
		strict := port.Strict
		strict.Ours = true
		groups = []enforced{{path: strict}}
	}
	for i := range groups {
		slices.SortFunc(groups[i].gateways, gwapi.CompareKeys)
		groups[i].gateways = slices.Compact(groups[i].gateways)
	}
	return groups
}

// joined are the paths of other controllers, those that come to the same as one.
func (a *Assessor) joined(port collect.Port, others []enforced) []enforced {
	var groups []enforced
	seen := map[string]int{}
	for _, group := range others {
		// What is said of a path names its Gateway, whatever else is the same.
		described := a.path(port, group.path)
		said := strings.ReplaceAll(fmt.Sprint(described.Verdict.Result, described.Verdict.Reason, described.Verdict.Message),
			group.path.Gateway.String(), "")
		key := group.controller + "\x00" + said
		if i, found := seen[key]; found {
			groups[i].gateways = append(groups[i].gateways, group.gateways...)
			continue
		}
		seen[key] = len(groups)
		groups = append(groups, group)
	}
	return groups
}

// asWritten is the path as if the policy had no mode.
func asWritten(port collect.Port, path model.Path) model.Path {
	if path.Policy == nil {
		return path
	}
	decision := *path.Policy
	switch {
	case decision.Written != nil:
		decision.Trust = decision.Written
	case decision.State == model.ModeRefused && port.Strict.Policy != nil:
		// Only the mode was refused: without it the path is what it is elsewhere.
		decision.Trust, decision.Written = port.Strict.Policy.Trust, port.Strict.Policy.Written
		path.FaultReason, path.Fault = port.Strict.FaultReason, port.Strict.Fault
	}
	decision.Requested, decision.State, decision.Reason = model.Standard, model.ModeNone, ""
	decision.Since, decision.Until = time.Time{}, time.Time{}
	path.Policy = &decision
	return path
}

func (a *Assessor) verification(port collect.Port, group enforced, ignoreMode bool) cliv1alpha1.Verification {
	answer := cliv1alpha1.Verification{Service: PortReference(port), IgnoreMode: ignoreMode}
	for _, gateway := range group.gateways {
		answer.Gateways = append(answer.Gateways, *objectReference(gateway))
	}
	path := group.path
	if group.controller != "" {
		described := a.path(port, path)
		answer.Controller = untrusted.Text(group.controller)
		answer.Policy, answer.Verdict, answer.Endpoints = described.Policy, described.Verdict, described.Endpoints
		return answer
	}
	if path.Policy != nil {
		answer.Policy = a.policy(path.Policy, port.Policy, path.Policy.Trust)
	}
	answer.Verdict, answer.Endpoints = a.verdict(port, path, nil)
	if len(answer.Gateways) == 0 {
		answer.Unseen = untrusted.Text(a.hiddenRoutes(port))
		answer.Verdict.Status = 0 // There are no clients to get it.
	}
	return answer
}

// Answer is what several verifications come to: yes (nothing fails and
// everything was judged), no (something fails), or no answer.
type Answer int

// The answers.
const (
	NoAnswer Answer = iota
	Yes
	No
)

// AnswerOf sums up: no wins, then no answer, then yes. Nothing is no answer.
func AnswerOf(verifications []cliv1alpha1.Verification) Answer {
	if len(verifications) == 0 {
		return NoAnswer
	}
	answer := Yes
	for _, verification := range verifications {
		switch verification.Verdict.Result {
		case Passes:
		case Fails, Refused, Plaintext:
			return No
		case Mixed:
			if slices.ContainsFunc(verification.Endpoints, fails) {
				return No
			}
			answer = NoAnswer
		default:
			answer = NoAnswer
		}
	}
	return answer
}

func fails(endpoint cliv1alpha1.Endpoint) bool { return endpoint.Result == Fails }
