package report

import (
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The limits of the API, in entries (gateway-api v1.7.0).
const (
	maxConditions = 8
	maxParents    = 32
	maxAncestors  = 16
)

// Merge is the status to write: live, as it was read, with ours put in. Both
// are of the object of that key. Entries and conditions of others stay as and
// where they are; ours are replaced in place, removed where we have nothing to
// say any more, and appended as long as the API's limits leave room.
// LastTransitionTime is now where a status changed and else stays; a condition
// that was written for a newer generation than ours is left alone.
func Merge(key gwapi.Key, live, ours Report, now time.Time) Report {
	m := merge{namespace: key.Namespace, generation: ours.Generation, now: metav1.NewTime(now)}
	merged := Report{Generation: max(live.Generation, ours.Generation)}
	switch key.Kind {
	case gwapi.KindBackendTLSPolicy:
		merged.Ancestors = mergeEntries(m, live.Ancestors, ours.Ancestors, maxAncestors, ancestorEntry)
	case gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute, gwapi.KindTCPRoute:
		merged.Parents = mergeEntries(m, live.Parents, ours.Parents, maxParents, parentEntry)
	default:
		merged.Conditions = m.conditions(live.Conditions, ours.Conditions)
		merged.Features = slices.Clone(ours.Features)
		merged.Listeners = m.listeners(live.Listeners, ours.Listeners)
		merged.Addresses = slices.Clone(ours.Addresses)
	}
	return merged
}

// owned are the condition types that this controller sets, or may have set.
// Wherever one of them appears in our part of a status, it is ours.
var owned = [...]string{
	string(gatewayv1.GatewayConditionAccepted),
	string(gatewayv1.GatewayConditionProgrammed),
	string(gatewayv1.GatewayConditionResolvedRefs),
	string(gatewayv1.GatewayConditionInsecureFrontendValidationMode),
	string(gatewayv1.GatewayClassConditionStatusSupportedVersion),
	string(gatewayv1.ListenerConditionConflicted),
	string(gatewayv1.ListenerConditionOverlappingTLSConfig),
	string(gatewayv1.RouteConditionPartiallyInvalid),
	PolicySecurityDegraded,
	PolicyBackendsVerified,
}

func isOwned(conditionType string) bool {
	return slices.Contains(owned[:], conditionType) || strings.HasPrefix(conditionType, gwapi.Prefix)
}

// merge is what one Merge knows of its object.
type merge struct {
	namespace  string
	generation int64
	now        metav1.Time
}

// conditions merges two lists of conditions, the keys of which are their types.
func (m merge) conditions(live, ours []metav1.Condition) []metav1.Condition {
	merged := make([]metav1.Condition, 0, maxConditions)
	for i := range live {
		mine := findCondition(ours, live[i].Type)
		switch {
		case mine != nil:
			merged = append(merged, m.settle(&live[i], mine))
		case !isOwned(live[i].Type) || live[i].ObservedGeneration > m.generation:
			merged = append(merged, live[i])
		}
	}
	for i := range ours {
		if len(merged) < maxConditions && findCondition(merged, ours[i].Type) == nil {
			merged = append(merged, m.settle(nil, &ours[i]))
		}
	}
	return merged
}

// settle is the condition to write in the place of the live one, nil for none.
func (m merge) settle(live, mine *metav1.Condition) metav1.Condition {
	if live != nil && live.ObservedGeneration > mine.ObservedGeneration {
		return *live
	}
	settled := *mine
	settled.LastTransitionTime = m.now
	if live != nil && live.Status == mine.Status && !live.LastTransitionTime.IsZero() {
		settled.LastTransitionTime = live.LastTransitionTime
	}
	return settled
}

func findCondition(conditions []metav1.Condition, conditionType string) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == conditionType {
			return &conditions[i]
		}
	}
	return nil
}

// listeners are those of the spec, in its order, each with the conditions that
// others wrote about it.
func (m merge) listeners(live, ours []gatewayv1.ListenerStatus) []gatewayv1.ListenerStatus {
	merged := slices.Clone(ours)
	for i := range merged {
		var written []metav1.Condition
		for j := range live {
			if live[j].Name == merged[i].Name {
				written = live[j].Conditions
			}
		}
		merged[i].Conditions = m.conditions(written, merged[i].Conditions)
	}
	return merged
}

// entry is what parents and ancestors have in common.
type entry struct {
	ref        *gatewayv1.ParentReference
	controller gatewayv1.GatewayController
	conditions *[]metav1.Condition
}

func parentEntry(parent *gatewayv1.RouteParentStatus) entry {
	return entry{ref: &parent.ParentRef, controller: parent.ControllerName, conditions: &parent.Conditions}
}

func ancestorEntry(ancestor *gatewayv1.PolicyAncestorStatus) entry {
	return entry{ref: &ancestor.AncestorRef, controller: ancestor.ControllerName, conditions: &ancestor.Conditions}
}

// mergeEntries merges two lists whose keys are reference and controller.
func mergeEntries[T any](m merge, live, ours []T, limit int, view func(*T) entry) []T {
	merged := make([]T, 0, max(len(live), len(ours)))
	used := make([]bool, len(ours))
	for i := range live {
		was := view(&live[i])
		if was.controller != gwapi.ControllerName {
			merged = append(merged, live[i])
			continue
		}
		at := slices.IndexFunc(ours, func(candidate T) bool {
			return gwapi.SameParentRef(was.ref, view(&candidate).ref, m.namespace)
		})
		if at < 0 || used[at] {
			continue
		}
		used[at] = true
		merged = append(merged, mergeEntry(m, ours[at], *was.conditions, view))
	}
	for i := range ours {
		// A key given twice (the schema forbids it, old objects may have it) has one
		// entry; a second one would look new at every write.
		twice := slices.ContainsFunc(ours[:i], func(earlier T) bool {
			return gwapi.SameParentRef(view(&ours[i]).ref, view(&earlier).ref, m.namespace)
		})
		if !used[i] && !twice && len(merged) < limit {
			merged = append(merged, mergeEntry(m, ours[i], nil, view))
		}
	}
	return merged
}

// mergeEntry is ours with its conditions merged into what was written there.
func mergeEntry[T any](m merge, mine T, written []metav1.Condition, view func(*T) entry) T {
	conditions := view(&mine).conditions
	*conditions = m.conditions(written, *conditions)
	return mine
}
