package resolve

import (
	"cmp"
	"crypto/x509"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// counted is what has been reported on policies, for metrics, sorted. It is
// never milder than status: a mode that status still names is told as long as it
// does, and one that status is to name is told before it does.
func (p *tlsPolicies) counted() []model.Standing {
	var all []model.Standing
	told := map[standingKey]bool{}
	for _, s := range p.ordered {
		if s.crowded || s.judged == nil {
			continue
		}
		told[standingKey{s.policy, s.gateway}] = true
		all = append(all, p.countedOne(s))
	}
	for _, object := range p.b.snap.TLSPolicies.Sorted() {
		policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, object.Namespace, object.Name)
		for i := range object.Status.Ancestors {
			entry := &object.Status.Ancestors[i]
			gateway, isGateway := gwapi.ParentKey(&entry.AncestorRef, object.Namespace)
			if entry.ControllerName != gwapi.ControllerName || !isGateway || told[standingKey{policy, gateway}] {
				continue
			}
			// An entry that is about to be withdrawn, and still says so.
			live := liveEntry(entry.Conditions)
			if condition, degraded := live.degradation(); degraded {
				told[standingKey{policy, gateway}] = true
				all = append(all, model.Standing{
					Policy: policy, Gateway: gateway, Mode: modeNamed(condition),
					Since: condition.LastTransitionTime.Time, Accepted: true,
				})
			}
		}
	}
	slices.SortFunc(all, func(a, b model.Standing) int {
		return cmp.Or(gwapi.CompareKeys(a.Policy, b.Policy), gwapi.CompareKeys(a.Gateway, b.Gateway))
	})
	return all
}

func (p *tlsPolicies) countedOne(s *tlsStanding) model.Standing {
	one := model.Standing{
		Policy: s.policy, Gateway: s.gateway, Mode: s.told, Accepted: !s.refused.some(),
		RevocationEnds: s.judged.revocationEnds,
		Programmed:     p.isProgrammed(s),
	}
	if condition, degraded := s.live.degradation(); degraded {
		one.Mode = broader(one.Mode, modeNamed(condition))
	}
	if !one.Mode.Insecure() {
		return one
	}
	one.Since = s.continuouslySince(p.b.snap.Now)
	if one.Mode == s.request.mode {
		one.Until = s.request.until
	}
	return one
}

// isProgrammed says what was reported of Programmed.
func (p *tlsPolicies) isProgrammed(s *tlsStanding) bool {
	wanted := report.PolicyAncestor(s.gateway).AncestorRef
	ancestors := p.b.reports[s.policy].Ancestors
	for i := range ancestors {
		if gwapi.SameParentRef(&ancestors[i].AncestorRef, &wanted, s.policy.Namespace) {
			return meta.IsStatusConditionTrue(ancestors[i].Conditions, report.Programmed)
		}
	}
	return false
}

// degradation is SecurityDegraded, if it is True.
func (l liveEntry) degradation() (metav1.Condition, bool) {
	condition, found := l.find(report.PolicySecurityDegraded)
	return condition, found && condition.Status == metav1.ConditionTrue
}

// modeNamed is the mode that SecurityDegraded=True names. A reason that names
// none, which is not ours, may mean anything.
func modeNamed(condition metav1.Condition) model.Mode {
	if mode := modeOf(condition.Reason); mode.Insecure() {
		return mode
	}
	return model.InsecureSkipVerification
}

// revocationEnds is when the first issuer has no list any more: the earliest
// nextUpdate among the newest lists of each; zero for never.
func revocationEnds(lists []*x509.RevocationList) time.Time {
	newest := map[string]time.Time{}
	for _, list := range lists {
		issuer := string(list.RawIssuer)
		last, known := newest[issuer]
		switch {
		case !known, list.NextUpdate.IsZero():
			newest[issuer] = list.NextUpdate
		case !last.IsZero() && list.NextUpdate.After(last):
			newest[issuer] = list.NextUpdate
		}
	}
	var first time.Time
	for _, end := range newest {
		if !end.IsZero() && (first.IsZero() || end.Before(first)) {
			first = end
		}
	}
	return first
}
