package report

import (
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Change is news about one policy on one Gateway: SecurityDegraded or
// BackendsVerified is not what it was. It is what an Event tells in a cluster
// and a line of the log in standalone.
type Change struct {
	// Gateway is the ancestor whose entry changed.
	Gateway gwapi.Key
	// Condition is the type: SecurityDegraded or BackendsVerified.
	Condition string
	// Status is the new status and Was the one before, "" where the condition is
	// not there.
	Status, Was metav1.ConditionStatus
	// Reason is the new reason and WasReason the one before, "" for none.
	Reason, WasReason string
	// Message is the new condition's, fit for a line of text.
	Message string
	// Bad says that somebody should look: backends are verified less than the
	// policy says, or do not pass it.
	Bad bool
}

// Attributes are what a log says of the change of the policy: names and values in
// turn.
func (c *Change) Attributes(policy gwapi.Key) []any {
	return []any{
		"event", c.Condition, "type", c.EventType(), "status", string(c.Status), "reason", c.Reason,
		"object", policy.String(), "gateway", c.Gateway.String(), "message", c.Message,
	}
}

// EventType is the type of a Kubernetes Event (core/v1): Warning for what is bad.
func (c *Change) EventType() string {
	if c.Bad {
		return "Warning"
	}
	return "Normal"
}

// changing are the conditions whose changes are news, each with the status that
// is bad.
var changing = [...]struct {
	condition string
	bad       metav1.ConditionStatus
}{
	{PolicySecurityDegraded, metav1.ConditionTrue},
	{PolicyBackendsVerified, metav1.ConditionFalse},
}

// ReasonNotReached is the Reason of a Change by which a degraded policy has lost
// its entry for a Gateway.
const ReasonNotReached = "NotReached"

// Changes compares two statuses of a policy, as they were read and as they were
// written: a change is another status or another reason. What a condition says
// at first is news only if it is bad; that nobody knows (Unknown) is no news, and
// after it only what is bad is.
func Changes(key gwapi.Key, was, now Report) []Change {
	if key.Kind != gwapi.KindBackendTLSPolicy {
		return nil
	}
	var changes []Change
	for i := range now.Ancestors {
		ancestor := &now.Ancestors[i]
		if ancestor.ControllerName != gwapi.ControllerName {
			continue
		}
		before := AncestorConditions(was.Ancestors, &ancestor.AncestorRef, key.Namespace)
		for _, kind := range changing {
			current := meta.FindStatusCondition(ancestor.Conditions, kind.condition)
			if current == nil {
				continue
			}
			change := Change{
				Condition: kind.condition, Status: current.Status, Reason: current.Reason,
				Message: line(current.Message), Bad: current.Status == kind.bad,
			}
			change.Gateway, _ = gwapi.ParentKey(&ancestor.AncestorRef, key.Namespace)
			last := meta.FindStatusCondition(before, kind.condition)
			if last != nil {
				change.Was, change.WasReason = last.Status, last.Reason
			}
			if change.isNews(kind.bad) {
				changes = append(changes, change)
			}
		}
	}
	return append(changes, ended(key, was, now)...)
}

// isNews leaves out repetition, ignorance and good beginnings.
func (c *Change) isNews(bad metav1.ConditionStatus) bool {
	switch {
	case c.Status == c.Was && c.Reason == c.WasReason, c.Status == metav1.ConditionUnknown:
		return false
	case c.Was == "", c.Was == metav1.ConditionUnknown:
		return c.Status == bad
	default:
		return true
	}
}

// ended are the degradations about which nothing is said any more, because the
// Gateway reaches nothing by the policy.
func ended(key gwapi.Key, was, now Report) (changes []Change) {
	for i := range was.Ancestors {
		ancestor := &was.Ancestors[i]
		if ancestor.ControllerName != gwapi.ControllerName ||
			AncestorConditions(now.Ancestors, &ancestor.AncestorRef, key.Namespace) != nil {
			continue
		}
		last := meta.FindStatusCondition(ancestor.Conditions, PolicySecurityDegraded)
		if last == nil || last.Status != metav1.ConditionTrue {
			continue
		}
		gateway, _ := gwapi.ParentKey(&ancestor.AncestorRef, key.Namespace)
		changes = append(changes, Change{
			Gateway: gateway, Condition: PolicySecurityDegraded, Was: last.Status, WasReason: last.Reason,
			Reason: ReasonNotReached, Message: "nothing is reached by this policy through the Gateway any more",
		})
	}
	return changes
}

// AncestorConditions are the conditions of our entry for that ancestor; nil
// without one. References without a namespace mean the given one.
func AncestorConditions(
	ancestors []gatewayv1.PolicyAncestorStatus, ref *gatewayv1.ParentReference, namespace string,
) []metav1.Condition {
	for i := range ancestors {
		if ancestors[i].ControllerName == gwapi.ControllerName &&
			gwapi.SameParentRef(&ancestors[i].AncestorRef, ref, namespace) {
			return ancestors[i].Conditions
		}
	}
	return nil
}

// line is a text without anything that would end a line or hide a part of it.
// Messages are this operator's words, but a status that was read may have been
// written by anybody.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
