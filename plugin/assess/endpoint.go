package assess

import (
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// endpoints judges every endpoint of a port by the trust that is enforced and,
// where a mode is in force, by the policy as written.
func (a *Assessor) endpoints(port collect.Port, trust, written *model.Trust) []cliv1alpha1.Endpoint {
	var list []cliv1alpha1.Endpoint
	for _, endpoint := range port.Endpoints {
		described := cliv1alpha1.Endpoint{
			Address: endpoint.Address.String(),
			Pod:     untrusted.Text(endpoint.Pod.Name),
			Result:  NotProbed,
		}
		if observation, found := a.observation(port, endpoint); found {
			a.judge(&described, port, observation, trust)
			if written != nil && trust != nil && trust.Mode.Insecure() {
				strict := cliv1alpha1.Endpoint{}
				a.judge(&strict, port, observation, written)
				described.Strict = strict.Result
			}
		}
		list = append(list, described)
	}
	return list
}

// judge fills in what an endpoint showed and what Envoy makes of it. Without a
// trust, only what it showed.
func (a *Assessor) judge(
	described *cliv1alpha1.Endpoint, port collect.Port, observation model.Observation, trust *model.Trust,
) {
	certs := chain(observation.Chain)
	if len(certs) > 0 {
		leaf := Certificate(certs[0], false)
		described.Certificate = &leaf
	}
	described.Advice = untrusted.Text(a.advice(port, observation))
	if observation.Fault == model.FaultUnsupported || observation.Fault == model.FaultForbidden {
		described.Reason, described.Message = string(observation.Fault), untrusted.Text(faultMessage(observation))
		return
	}
	if observation.Fault == model.FaultUnreachable || observation.Fault == model.FaultTimeout {
		described.Result, described.Reason = Unreachable, string(verify.Unreachable)
		described.Message = untrusted.Text(faultMessage(observation))
		return
	}
	if trust == nil {
		described.Result, described.Message = Unjudged, untrusted.Text(unjudged(port, observation))
		return
	}
	checks := verify.Observed(observation, trust, a.World.Snapshot.Now)
	for _, check := range checks {
		described.Checks = append(described.Checks, cliv1alpha1.Check{
			Check: string(check.Kind), Outcome: string(check.Outcome), Message: untrusted.Text(check.Message),
		})
	}
	if verify.Accepts(checks) {
		described.Result, described.Advice = Passes, ""
		return
	}
	described.Result = Fails
	reason := verify.Verdict(checks)
	described.Reason = string(reason)
	described.Message = untrusted.Text(a.why(reason, checks, certs, port, observation))
}

// unjudged says what an endpoint is that no policy decides about, or one of
// which it is not known what it trusts.
func unjudged(port collect.Port, observation model.Observation) string {
	switch {
	case len(observation.Chain) > 0 && port.Strict.FaultReason == unseenReason:
		return "the endpoint speaks TLS; what it must show could not be read"
	case len(observation.Chain) > 0 && port.Strict.Policy != nil:
		return "the endpoint speaks TLS; the policy is refused as written"
	case len(observation.Chain) > 0:
		return "the endpoint speaks TLS; no policy says what to verify"
	default:
		return faultMessage(observation)
	}
}
