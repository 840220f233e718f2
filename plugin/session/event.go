package session

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// mostEvents is how many are kept.
const mostEvents = 200

// events are what was told about the policies and Gateways of the scope. Where
// they may not be read there are none.
func (c *clusterOrigin) events(ctx context.Context, world *collect.World) []Event {
	var list []Event
	for _, event := range collect.Events(ctx, c.follower, c.eventNamespaces(world)) {
		list = append(list, eventOf(event))
	}
	c.follower.Sweep() // Nothing else is asked for at this look.
	slices.SortStableFunc(list, func(a, b Event) int {
		return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Text, b.Text))
	})
	return list[:min(len(list), mostEvents)]
}

// manyNamespaces is how many namespaces are asked one by one before all are at
// once.
const manyNamespaces = 8

// eventNamespaces are those of the objects that events can be about; "" for all.
func (c *clusterOrigin) eventNamespaces(world *collect.World) []string {
	if c.scope.All {
		return []string{""}
	}
	list := []string{c.scope.Namespace}
	ports, _ := world.Within(c.scope.Namespace, c.scope.All)
	for _, port := range ports {
		list = append(list, port.Service.Namespace)
		for _, path := range port.Paths {
			if path.Gateway.Kind == gwapi.KindGateway {
				list = append(list, path.Gateway.Namespace)
			}
		}
	}
	slices.Sort(list)
	if list = slices.Compact(list); len(list) > manyNamespaces {
		return []string{""}
	}
	return list
}

func eventOf(event corev1.Event) Event {
	from := cmp.Or(event.ReportingController, event.Source.Component)
	return Event{
		Object: cliv1alpha1.ObjectReference{
			Kind: untrusted.Text(event.InvolvedObject.Kind), Namespace: untrusted.Text(event.InvolvedObject.Namespace),
			Name: untrusted.Text(event.InvolvedObject.Name),
		},
		At: when(event), Type: untrusted.Text(event.Type), Reason: untrusted.Text(event.Reason),
		Text: untrusted.Text(event.Message), Count: count(event), ReportingFrom: untrusted.Text(from),
	}
}

// when is the last time that the event happened. There are two generations of
// writers, and each fills other fields (events.k8s.io/v1, EventSeries).
func when(event corev1.Event) time.Time {
	last := event.EventTime.Time
	if event.Series != nil && event.Series.LastObservedTime.After(last) {
		last = event.Series.LastObservedTime.Time
	}
	for _, other := range [...]time.Time{event.LastTimestamp.Time, event.FirstTimestamp.Time} {
		if other.After(last) {
			last = other
		}
	}
	if last.IsZero() {
		return event.CreationTimestamp.Time
	}
	return last
}

func count(event corev1.Event) int32 {
	if event.Series != nil {
		return max(1, event.Series.Count)
	}
	return max(1, event.Count)
}
