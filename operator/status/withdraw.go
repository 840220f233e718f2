package status

import (
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// withdraw is the status of an object that nothing is reported on: without
// whatever of it is ours.
//
// The entries of routes and policies name their controller. The conditions of a
// GatewayClass, Gateway or ListenerSet do not, and an object of another class
// has an Accepted of somebody else. Of these only what certainly is ours goes:
// the conditions of our own domain, and what stands there word for word as this
// process has last said it (said). What is left otherwise names a generation
// and is replaced by whoever takes the object over.
func withdraw(k kind, key gwapi.Key, live report.Report, said []report.Report, now time.Time) report.Report {
	if !k.anonymous {
		return report.Merge(key, live, report.Report{Generation: live.Generation}, now)
	}
	rest := live
	rest.Conditions = withoutOurs(live.Conditions, said, func(ours report.Report) []metav1.Condition {
		return ours.Conditions
	})
	rest.Listeners = nil
	for _, listener := range live.Listeners {
		conditions := withoutOurs(listener.Conditions, said, func(ours report.Report) []metav1.Condition {
			return listenerConditions(ours, listener.Name)
		})
		// Nobody but us has said anything about it.
		if len(conditions) == 0 && len(listener.Conditions) > 0 {
			continue
		}
		listener.Conditions = conditions
		rest.Listeners = append(rest.Listeners, listener)
	}
	if slices.ContainsFunc(said, func(ours report.Report) bool {
		return equality.Semantic.DeepEqual(ours.Addresses, live.Addresses)
	}) {
		rest.Addresses = nil
	}
	return rest
}

// withoutOurs drops the conditions of our domain and those that were said.
func withoutOurs(
	live []metav1.Condition, said []report.Report, of func(report.Report) []metav1.Condition,
) []metav1.Condition {
	return slices.DeleteFunc(slices.Clone(live), func(condition metav1.Condition) bool {
		if strings.HasPrefix(condition.Type, gwapi.Prefix) {
			return true
		}
		return slices.ContainsFunc(said, func(ours report.Report) bool {
			return slices.ContainsFunc(of(ours), func(c metav1.Condition) bool { return sameCondition(c, condition) })
		})
	})
}

func listenerConditions(of report.Report, name gatewayv1.SectionName) []metav1.Condition {
	for i := range of.Listeners {
		if of.Listeners[i].Name == name {
			return of.Listeners[i].Conditions
		}
	}
	return nil
}
