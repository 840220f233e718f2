package resolve

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// maxWords is how much of Envoy's own words is repeated.
const maxWords = 512

// programmedCondition is Programmed: what every expected Envoy of the Gateway
// acknowledged of what the policy decides there. Where the policy is refused,
// it speaks of the 500 in place of the cluster.
func (p *tlsPolicies) programmedCondition(s *tlsStanding, gateway model.Gateway) metav1.Condition {
	envoys := p.b.snap.Observed.Envoys[s.gateway]
	subject := "the policy"
	if s.refused.some() {
		subject = "the 500 in place of the backend"
	}
	switch {
	case len(s.ports) == 0 && !s.told.Insecure():
		return report.PolicyNotProgrammed(report.PolicyReasonNotInForce,
			fmt.Sprintf("%s, so nothing of it is programmed there", s.deciding()))
	case len(envoys) == 0:
		return report.PolicyNotProgrammed(report.PolicyReasonNoDataPlane, "no Envoy of "+s.gateway.String()+" runs")
	}
	share, known := gateway.Shares[s.policy]
	if !known {
		// Nothing is decided there any more: the removal of what was is part of
		// the Gateway's own share.
		share, known = gateway.Shares[s.gateway]
	}
	var waiting, unheard []string
	for _, envoy := range envoys {
		if known && envoy.Settled[s.shareKey(gateway)] == share {
			continue
		}
		if words := refusal(envoy, s.policy, gateway); words != "" {
			return report.PolicyNotProgrammed(report.PolicyReasonRejected, words)
		}
		if !envoy.Connected && len(envoy.Settled) == 0 && s.live.wasProgrammed() {
			unheard = append(unheard, envoy.Name)
			continue
		}
		waiting = append(waiting, envoy.Name)
	}
	switch {
	case len(waiting) > 0:
		return report.PolicyNotProgrammed(report.PolicyReasonPending, fmt.Sprintf(
			"%d of %d Envoys acknowledged %s; waiting for %s%s", len(envoys)-len(waiting)-len(unheard), len(envoys),
			subject, strings.Join(waiting, ", "), p.untranslatable(s.gateway)))
	case len(unheard) > 0:
		return report.PolicyNotProgrammed(report.PolicyReasonNotHeard, fmt.Sprintf(
			"not heard from since this operator started: %s", strings.Join(unheard, ", ")))
	default:
		return report.PolicyProgrammed(fmt.Sprintf("%d of %d Envoys acknowledged %s", len(envoys), len(envoys), subject))
	}
}

// shareKey is the key that the policy's acknowledgement is kept under.
func (s *tlsStanding) shareKey(gateway model.Gateway) gwapi.Key {
	if _, known := gateway.Shares[s.policy]; known {
		return s.policy
	}
	return s.gateway
}

func (p *tlsPolicies) untranslatable(gateway gwapi.Key) string {
	if why, broken := p.b.snap.Observed.Untranslatable[gateway]; broken {
		return "; the configuration of the Gateway could not be built: " + why
	}
	return ""
}

// refusal is what an Envoy said when it refused a cluster of the policy, or a
// resource that it did not name; "" if it refused none of these.
func refusal(envoy model.Envoy, policy gwapi.Key, gateway model.Gateway) string {
	clusters := map[string]bool{"": true}
	for _, backend := range gateway.Backends {
		if backend.Trust != nil && backend.Trust.Policy == policy {
			clusters[backend.Name()] = true
		}
	}
	for _, rejection := range envoy.Rejections {
		if !clusters[rejection.Name] {
			continue
		}
		words := rejection.Message
		if len(words) > maxWords {
			words = strings.ToValidUTF8(words[:maxWords], "") + " ..."
		}
		return fmt.Sprintf("%s refused %s %q: %q", envoy.Name, rejection.Type, rejection.Name, words)
	}
	return ""
}

// wasProgrammed says whether status last said that the Envoys have it, or that
// they have not been heard since.
func (l liveEntry) wasProgrammed() bool {
	condition, found := l.find(report.Programmed)
	return found && (condition.Status == metav1.ConditionTrue ||
		condition.Reason == string(report.PolicyReasonNotHeard))
}
