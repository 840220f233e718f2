package resolve

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/verify"
)

// probedStanding is what live checks found of a policy on a Gateway, over all
// the ports that it decides there.
type probedStanding struct {
	endpoints int
	// counts are by result, unasked by why.
	counts, unasked map[string]int
	leaves          map[string][]string
	// known says that each port has been checked, or that its checks have begun;
	// complete that every endpoint was.
	known, complete bool
	interval        time.Duration
	// found is when the newest of it was found.
	found time.Time
}

// probedOf adds up what was found of the ports that the policy decides on the
// Gateway. It has no ports where none is checked.
func (p *tlsPolicies) probedOf(s *tlsStanding, gateway *model.Gateway) (sum probedStanding, ports int) {
	sum = probedStanding{
		counts: map[string]int{}, unasked: map[string]int{}, leaves: map[string][]string{}, known: true, complete: true,
	}
	seen := map[model.ProbeKey]bool{}
	for _, i := range p.backendsOf(gateway)[s.policy] {
		key, checked := gateway.Backends[i].ProbeKey()
		if !checked || seen[key] {
			continue // Another protocol of the same port has the same endpoints.
		}
		seen[key] = true
		ports++
		found, known := p.b.snap.Observed.Probes[key]
		sum.known = sum.known && known
		sum.complete = sum.complete && found.Complete
		sum.endpoints += found.Endpoints
		sum.interval = max(sum.interval, found.Interval)
		if found.Found.After(sum.found) {
			sum.found = found.Found
		}
		for _, count := range found.Counts {
			sum.counts[count.Result] += count.Count
			sum.leaves[count.Result] = append(sum.leaves[count.Result], count.Leaves...)
		}
		for _, count := range found.Unasked {
			sum.unasked[count.Result] += count.Count
		}
	}
	return sum, ports
}

// backendsOf are the places in gateway.Backends of each policy, made once for all
// that ask.
func (p *tlsPolicies) backendsOf(gateway *model.Gateway) map[gwapi.Key][]int {
	if known, found := p.checked[gateway.Key]; found {
		return known
	}
	known := map[gwapi.Key][]int{}
	for i := range gateway.Backends {
		if trust := gateway.Backends[i].Trust; trust != nil {
			known[trust.Policy] = append(known[trust.Policy], i)
		}
	}
	p.checked[gateway.Key] = known
	return known
}

// passed counts the endpoints that the policy as written accepts now.
func (sum *probedStanding) passed() int {
	return sum.counts[string(verify.Verified)] + sum.counts[model.ProbeExpiring]
}

// checked counts the endpoints that were asked.
func (sum *probedStanding) checked() (total int) {
	for _, count := range sum.counts {
		total += count
	}
	return total
}

// reason is the one that explains most, Verified where all is well. As an
// endpoint that cannot be reached has no certificate, it makes none mixed.
func (sum *probedStanding) reason() report.PolicyReason {
	var refused []verify.Check
	for result := range sum.counts {
		switch verify.Reason(result) {
		case verify.Verified, verify.Unreachable, model.ProbeExpiring:
		default:
			refused = append(refused, verify.Check{Outcome: verify.Fail, Reason: verify.Reason(result)})
		}
	}
	switch {
	case len(refused) > 0 && sum.passed() > 0:
		return report.PolicyReasonMixedCertificates
	case len(refused) > 0:
		return report.PolicyReason(verify.Verdict(refused))
	case sum.counts[string(verify.Unreachable)] > 0:
		return report.PolicyReason(verify.Unreachable)
	case sum.counts[model.ProbeExpiring] > 0:
		return report.PolicyReasonCertificateExpiring
	default:
		return report.PolicyReasonVerified
	}
}

// verifiedCondition is BackendsVerified: what the live checks say of the policy
// as written, whatever mode is in force.
func (p *tlsPolicies) verifiedCondition(s *tlsStanding, gateway *model.Gateway) metav1.Condition {
	setting := p.parametersOf(s.gateway).probing()
	ask := fmt.Sprintf("kubectl backendtls verify btlspolicy/%s -n %s", s.policy.Name, s.policy.Namespace)
	sum, ports := p.probedOf(s, gateway)
	switch {
	case p.b.snap.Site.Standalone:
		return report.PolicyNotProbed("nobody here looks at the live certificates; " + ask + " does")
	case setting.off():
		return report.PolicyNotProbed(fmt.Sprintf("live checks are off for %s: %s; %s checks now",
			s.gateway, setting.remedy(), ask))
	case s.refused.some():
		return report.PolicyNotProbed("not checked while the policy is not in force, see Accepted")
	case ports == 0:
		return report.PolicyNotProbed(s.deciding() + ", so there is nothing to check")
	case !sum.known:
		return s.lastVerified(ask)
	}
	return sum.condition(s, setting.note())
}

// lastVerified is for what this replica has not checked yet, or not since it
// began to lead: the last word of the one before about the same policy stands,
// with the time at which it was found, until the first checks are done.
func (s *tlsStanding) lastVerified(ask string) metav1.Condition {
	live, found := s.live.find(report.PolicyBackendsVerified)
	if found && live.Status != metav1.ConditionUnknown && live.ObservedGeneration == s.judged.object.Generation {
		return report.PolicyBackendsAsWritten(live)
	}
	return report.PolicyNotProbed("the live checks have just begun; " + ask + " checks now")
}

// foundAt begins the part of a message that says when its verdict was found.
const foundAt = "; found "

// condition says what was found.
func (sum *probedStanding) condition(s *tlsStanding, note string) metav1.Condition {
	made := sum.verdict(s.policy.Namespace)
	made.Message += note
	if made.Status == metav1.ConditionUnknown {
		return made
	}
	live, found := s.live.find(report.PolicyBackendsVerified)
	if found && live.Status == made.Status && live.Reason == made.Reason &&
		live.ObservedGeneration == s.judged.object.Generation &&
		strings.HasPrefix(live.Message, made.Message+foundAt) {
		// The same was found before, by whichever replica.
		made.Message = live.Message
		return made
	}
	made.Message += fmt.Sprintf("%s%s, checked every %s since", foundAt,
		sum.found.UTC().Format("2006-01-02T15:04Z"), sum.interval)
	return made
}

// verdict is the condition without its time.
func (sum *probedStanding) verdict(namespace string) metav1.Condition {
	reason, checked := sum.reason(), sum.checked()
	fails := reason != report.PolicyReasonVerified && reason != report.PolicyReasonCertificateExpiring
	switch {
	case !sum.complete && fails:
		return report.PolicyBackendsFail(reason, "not every endpoint has been checked yet; of those that were, some fail: "+
			strings.Join(sum.failing(false), ", "))
	case !sum.complete:
		return report.PolicyNotProbed("the live checks of its endpoints have just begun")
	case sum.endpoints == 0:
		return report.PolicyNotProbed("no endpoint is ready, so there is nothing to check")
	case checked == 0:
		return report.PolicyNotProbed(strings.TrimPrefix(sum.omitted(namespace), "; "))
	}
	counted := fmt.Sprintf("%d of %d endpoints pass the policy as written", sum.passed(), checked)
	if reason == report.PolicyReasonVerified {
		return report.PolicyBackendsPass(counted + sum.omitted(namespace))
	}
	if reason == report.PolicyReasonCertificateExpiring {
		return report.PolicyBackendsFail(reason, fmt.Sprintf("%s, but %d with a certificate that ends soon, in the last "+
			"tenth of its life and within a week: %s%s", counted, sum.counts[model.ProbeExpiring],
			sum.certificates(model.ProbeExpiring), sum.omitted(namespace)))
	}
	if sum.counts[string(verify.Unreachable)] > 0 {
		counted += "; what cannot be reached may be kept from the operator by a NetworkPolicy of namespace " + namespace
	}
	return report.PolicyBackendsFail(reason, fmt.Sprintf("%s: %s%s",
		counted, strings.Join(sum.failing(true), ", "), sum.omitted(namespace)))
}

// failing lists the results that do not pass, with their numbers and certificates
// where all endpoints were checked: until then both change all the time.
func (sum *probedStanding) failing(counted bool) (list []string) {
	for result, count := range sum.counts {
		switch {
		case result == string(verify.Verified) || result == model.ProbeExpiring:
		case !counted:
			list = append(list, result)
		case len(sum.leaves[result]) > 0:
			list = append(list, fmt.Sprintf("%d %s (%s)", count, result, sum.certificates(result)))
		default:
			list = append(list, fmt.Sprintf("%d %s", count, result))
		}
	}
	slices.Sort(list)
	return list
}

// certificates names some of the certificates that had a result.
func (sum *probedStanding) certificates(result string) string {
	leaves := slices.Compact(slices.Sorted(slices.Values(sum.leaves[result])))
	more := ""
	if len(leaves) > model.MaxProbeLeaves || len(leaves) == model.MaxProbeLeaves && sum.counts[result] > len(leaves) {
		leaves, more = leaves[:model.MaxProbeLeaves], " and others"
	}
	return strings.Join(leaves, ", ") + more
}

// omitted says which endpoints are not asked, and why.
func (sum *probedStanding) omitted(namespace string) string {
	var text strings.Builder
	if strangers := sum.unasked[model.ProbeNotAPod] + sum.unasked[model.ProbeNotOwned]; strangers > 0 {
		fmt.Fprintf(&text, "; %d of %d endpoints are not asked, because no Pod of namespace %s has the address for itself",
			strangers, sum.endpoints, namespace)
	}
	if forbidden := sum.unasked[model.ProbeForbidden]; forbidden > 0 {
		fmt.Fprintf(&text, "; %d of %d endpoints are not asked, because the operator may not read Pods: apply the "+
			"component manifests/components/probe", forbidden, sum.endpoints)
	}
	return text.String()
}

// strictly says for how many endpoints the policy as written would pass now,
// for the message about a mode that is on.
func (p *tlsPolicies) strictly(s *tlsStanding, gateway *model.Gateway) string {
	sum, ports := p.probedOf(s, gateway)
	if ports == 0 || !sum.known || !sum.complete || sum.checked() == 0 {
		return "strict verification was not checked"
	}
	return fmt.Sprintf("strict verification would pass now for %d of %d endpoints", sum.passed(), sum.checked())
}
