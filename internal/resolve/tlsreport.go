package resolve

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// report writes the status of every policy; one that concerns no Gateway of
// ours has no entry.
func (p *tlsPolicies) report(gateways map[gwapi.Key]model.Gateway) {
	for _, object := range p.b.snap.TLSPolicies.Sorted() {
		key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
		p.b.reports[key] = report.Report{Generation: object.Generation}
	}
	for _, standing := range p.ordered {
		if standing.crowded || standing.judged == nil {
			continue
		}
		entry, gateway := p.b.reports[standing.policy], gateways[standing.gateway]
		entry.Ancestors = append(entry.Ancestors, report.PolicyAncestor(standing.gateway,
			p.acceptedCondition(standing),
			resolvedCondition(standing),
			p.programmedCondition(standing, gateway),
			p.degradedCondition(standing, &gateway),
			p.verifiedCondition(standing, &gateway),
		))
		p.b.reports[standing.policy] = entry
	}
}

// acceptedCondition: a fault of the policy counts before a lost target, unless
// every target is lost and nothing answers 500 because of it.
func (p *tlsPolicies) acceptedCondition(s *tlsStanding) metav1.Condition {
	switch {
	case s.conflict != "" && !(s.refused.some() && s.keepsAny):
		return report.PolicyNotAccepted(report.PolicyReasonConflicted, s.conflict)
	case s.refused.some():
		return report.PolicyNotAccepted(s.refused.reason, s.refused.message)
	}
	notes := []string{s.deciding()}
	for _, fault := range s.unspoken {
		notes = append(notes, "but not this, which is answered with 500: "+fault)
	}
	notes = append(notes, p.targets.overridden(s.judged.object)...)
	for i, name := range s.judged.object.Spec.Validation.SubjectAltNames {
		if strings.HasPrefix(string(name.Hostname), "*.") {
			notes = append(notes, fmt.Sprintf("subjectAltNames[%d] matches only a certificate that carries the name %s itself",
				i, name.Hostname))
		}
	}
	if s.judged.shadowed > 0 {
		notes = append(notes, fmt.Sprintf("Envoy refuses %d of %s%s, because another one has the same subject and "+
			"may issue; use %s%s for them", s.judged.shadowed, gwapi.Prefix, optionTrusted, gwapi.Prefix, optionPins))
	}
	options := s.judged.options
	if len(options.idle) > 0 {
		notes = append(notes, fmt.Sprintf("without an insecure %s%s there is no effect of %s",
			gwapi.Prefix, optionMode, strings.Join(options.idle, ", ")))
	}
	if len(options.ignored) > 0 {
		notes = append(notes, "ignored, as keys of other implementations: "+strings.Join(options.ignored, ", "))
	}
	return report.PolicyIsAccepted(report.List(notes))
}

// deciding says what the policy decides on the Gateway.
func (s *tlsStanding) deciding() string {
	if len(s.ports) == 0 {
		return fmt.Sprintf("decides no port that %s reaches", s.gateway)
	}
	const most = 8
	ports := slices.Compact(slices.Sorted(slices.Values(s.ports)))
	more := ""
	if len(ports) > most {
		more = fmt.Sprintf(" and %d more", len(ports)-most)
		ports = ports[:most]
	}
	return "decides " + strings.Join(ports, ", ") + more
}

func resolvedCondition(s *tlsStanding) metav1.Condition {
	policy, unresolved := s.judged, s.judged.unresolved
	if !unresolved.some() {
		unresolved = s.unresolved
	}
	sources := slices.Clone(policy.sources)
	if s.identity != nil && policy.options.client != "" {
		sources = append(sources, "the client certificate of "+s.identity.Secret.String())
	}
	if !unresolved.some() {
		if len(sources) == 0 {
			return report.PolicyHasResolvedRefs("no certificate is referred to")
		}
		return report.PolicyHasResolvedRefs("read " + strings.Join(sources, ", "))
	}
	message := unresolved.message
	if !s.refused.some() {
		message += "; in use are " + strings.Join(sources, ", ")
	}
	return report.PolicyUnresolvedRefs(unresolved.reason, message)
}

// gatewayConditions are the conditions of a Gateway that its policies give
// rise to.
func (p *tlsPolicies) gatewayConditions(gateway gwapi.Key) []metav1.Condition {
	var degraded, crowded []string
	for _, standing := range p.ordered {
		if standing.gateway != gateway {
			continue
		}
		if standing.told.Insecure() {
			degraded = append(degraded, fmt.Sprintf("%s (%s)", standing.policy, standing.told))
		}
		if standing.crowded {
			crowded = append(crowded, fmt.Sprintf("%s (%s)", standing.policy, standing.deciding()))
		}
	}
	var conditions []metav1.Condition
	if len(degraded) > 0 {
		conditions = append(conditions, report.GatewayHasInsecureBackends(
			"backends are verified less than their policies say: "+strings.Join(degraded, ", ")))
	}
	if len(crowded) > 0 {
		conditions = append(conditions, report.GatewayLacksPolicyAncestors(fmt.Sprintf(
			"answering 500 because status.ancestors of the policy has room for %d entries and none is left for this Gateway: %s",
			maxAncestors, strings.Join(crowded, ", "))))
	}
	return conditions
}
