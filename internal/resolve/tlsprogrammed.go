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
	var waiting, unheard []string
	for i := range envoys {
		envoy := &envoys[i]
		settled := known && envoy.Settled[s.policy] == share
		if refused := p.refusedBy(envoy, s.policy, &gateway, settled); refused != "" {
			return report.PolicyNotProgrammed(report.PolicyReasonRejected, refused)
		}
		switch {
		case settled:
		case !envoy.Connected && len(envoy.Settled) == 0 && s.live.wasProgrammed():
			unheard = append(unheard, envoy.Name)
		default:
			waiting = append(waiting, envoy.Name)
		}
	}
	switch {
	case len(waiting) > 0:
		return report.PolicyNotProgrammed(report.PolicyReasonPending, fmt.Sprintf(
			"%d of %d Envoys acknowledged %s; waiting for %s%s", len(envoys)-len(waiting)-len(unheard), len(envoys),
			subject, strings.Join(waiting, ", "), p.untranslatable(s.gateway)))
	case len(unheard) > 0:
		return report.PolicyNotProgrammed(report.PolicyReasonNotHeard, fmt.Sprintf(
			"not heard from since this operator started: %s", strings.Join(unheard, ", ")))
	case s.state == model.ModeAnnounced:
		// What the Envoys acknowledged is the policy without the mode that this
		// generation asks for.
		return report.PolicyNotProgrammed(report.PolicyReasonPending, fmt.Sprintf(
			"%s comes into force once this status shows it; until then the Envoys enforce the policy as written",
			s.request.mode))
	default:
		return report.PolicyProgrammed(fmt.Sprintf("%d of %d Envoys acknowledged %s", len(envoys), len(envoys), subject))
	}
}

func (p *tlsPolicies) untranslatable(gateway gwapi.Key) string {
	if why, broken := p.b.snap.Observed.Untranslatable[gateway]; broken {
		return "; the configuration of the Gateway could not be built: " + why
	}
	return ""
}

// refusedBy is what an Envoy said when it refused a cluster of the policy or,
// while it has not settled, a resource that it did not name; "" if it refused
// none of these.
func (p *tlsPolicies) refusedBy(envoy *model.Envoy, policy gwapi.Key, gateway *model.Gateway, settled bool) string {
	for _, rejection := range envoy.Rejections {
		if rejection.Name == "" && settled || rejection.Name != "" && p.owners(gateway)[rejection.Name] != policy {
			continue
		}
		resource := strings.TrimSuffix(rejection.Type+" "+rejection.Name, " ")
		return fmt.Sprintf("%s refused %s: %s", envoy.Name, resource, words(rejection.Message))
	}
	return ""
}

// owners are the policies by the names of their clusters on a Gateway, made
// once for all that ask.
func (p *tlsPolicies) owners(gateway *model.Gateway) map[string]gwapi.Key {
	known, found := p.clusters[gateway.Key]
	if found {
		return known
	}
	known = make(map[string]gwapi.Key, len(gateway.Backends))
	for i := range gateway.Backends {
		if backend := &gateway.Backends[i]; backend.Trust != nil {
			known[backend.Name()] = backend.Trust.Policy
		}
	}
	p.clusters[gateway.Key] = known
	return known
}

// wasProgrammed says whether status last said that the Envoys have it, or that
// they have not been heard since.
func (l liveEntry) wasProgrammed() bool {
	condition, found := l.find(report.Programmed)
	return found && (condition.Status == metav1.ConditionTrue ||
		condition.Reason == string(report.PolicyReasonNotHeard))
}
