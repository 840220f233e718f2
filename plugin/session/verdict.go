package session

import (
	"errors"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/verify"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// judge refuses a change because of which a Gateway of ours would answer 500.
// Faults lists what was wrong before and still is.
func (p *Plan) judge() (faults []string, err error) {
	for _, port := range p.ports {
		next, found := p.next.Port(port.Key())
		if !found {
			return nil, fmt.Errorf("the change is refused: %s would not be there any more", service(port))
		}
		before := map[string]bool{port.Strict.Fault: true}
		for _, path := range port.Paths {
			before[path.Fault] = true
		}
		paths := slices.DeleteFunc(slices.Clone(next.Paths), func(path model.Path) bool { return !path.Ours })
		if len(paths) == 0 {
			paths = []model.Path{next.Strict}
		}
		for _, path := range paths {
			switch {
			case path.FaultReason == "":
			case unseen(path):
				p.doubt(next, path)
			case before[path.Fault]:
				faults = append(faults, p.answers500(next, path))
			default:
				return nil, errors.New("the change is refused: " + p.answers500(next, path))
			}
		}
	}
	slices.Sort(faults)
	return slices.Compact(faults), nil
}

// unseen says whether it is for lack of rights that nothing can be said about a
// path.
func unseen(path model.Path) bool { return path.FaultReason == string(report.PolicyReasonUnseen) }

// doubt notes what cannot be foretold. The operator reads what this person may
// not: its status will tell.
func (p *Plan) doubt(port collect.Port, path model.Path) {
	doubt := fmt.Sprintf("What %s will do for %s cannot be foretold: %s. Its status will tell once this is written.",
		gateway(path), service(port), p.plain(path.Fault))
	if !slices.Contains(p.unknown, doubt) {
		p.unknown = append(p.unknown, doubt)
	}
}

// answers500 says who answers 500 and why.
func (p *Plan) answers500(port collect.Port, path model.Path) string {
	who := "a Gateway"
	if len(port.Paths) > 0 {
		who = gateway(path)
	}
	text := fmt.Sprintf("%s answers 500 for %s: %s (%s)", who, service(port), p.plain(path.Fault), path.FaultReason)
	if path.Policy != nil && path.Policy.State == model.ModeRefused {
		text += ". `skip-verify off` ends the mode that is refused"
	}
	return text
}

// allowed refuses a mode that any Gateway of ours which reaches the ports does
// not allow, naming each, its rule, who may change that, and the flags that would
// be right.
func (p *Plan) allowed(wish edit.SkipVerify) error {
	refusals := map[gwapi.Key]string{}
	decided := map[gwapi.Key]bool{}
	var gateways []gwapi.Key
	for _, port := range p.ports {
		next, _ := p.next.Port(port.Key())
		for _, path := range next.Paths {
			if !path.Ours {
				continue
			}
			if !slices.Contains(gateways, path.Gateway) {
				gateways = append(gateways, path.Gateway)
			}
			switch {
			case path.Policy == nil:
				if !decided[path.Gateway] {
					refusals[path.Gateway] = fmt.Sprintf("whether %s allows %s is unknown, because of what must be repaired "+
						"first: %s", path.Gateway, wish.Mode, p.plain(path.Fault))
				}
			case path.Policy.Trust == nil && unseen(path):
				p.doubt(next, path)
			case path.Policy.Trust == nil:
				decided[path.Gateway] = true
				refusals[path.Gateway] = p.plain(path.Fault)
				if right := p.flags(path.Gateway, wish); right != "" && path.Policy.State == model.ModeRefused {
					refusals[path.Gateway] += ". " + right
				}
			default:
				if !decided[path.Gateway] {
					delete(refusals, path.Gateway)
				}
				decided[path.Gateway] = true
			}
		}
	}
	var errs []error
	for _, gateway := range gateways {
		if refusal := refusals[gateway]; refusal != "" {
			errs = append(errs, errors.New("nothing was written: "+refusal))
		}
	}
	return errors.Join(errs...)
}

// outlook is how the endpoints would fare under the changed policy.
type outlook struct {
	asked int
	// failing says of each other one why it would not pass.
	failing []string
}

// foretell judges what the endpoints of the ports served by the policy as it
// would be.
func (p *Plan) foretell(asked *Asked) outlook {
	var out outlook
	for _, port := range asked.Ports {
		trust, fault := p.enforced(port)
		for _, endpoint := range port.Endpoints {
			out.asked++
			if trust == nil {
				out.failing = append(out.failing, fmt.Sprintf("%s: the policy would be refused: %s", endpoint.Address, fault))
				continue
			}
			observation := asked.Observations[tunnel.Job{Endpoint: endpoint, SNI: asked.ServerName(port)}.Question()]
			checks := verify.Observed(observation, trust, p.world.Snapshot.Now)
			i := slices.IndexFunc(checks, func(check verify.Check) bool { return check.Outcome == verify.Fail })
			if i < 0 {
				continue
			}
			out.failing = append(out.failing, fmt.Sprintf("%s: %s", endpoint.Address, checks[i].Message))
		}
	}
	return out
}
