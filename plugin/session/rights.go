package session

import (
	"context"
	"slices"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/plugin/collect"
)

const (
	// rememberedFor is how long an answer about rights holds.
	rememberedFor = 5 * time.Minute
	// mostReviewed is how many namespaces are asked about one by one.
	mostReviewed = 64
	// reviewPatience bounds one question.
	reviewPatience = 10 * time.Second
)

// reviewer asks an API server what the person may do, beside everything else and
// without anybody waiting for it: the answers only hide what would be refused.
type reviewer struct {
	session *Session
	running sync.WaitGroup

	lock sync.Mutex
	busy bool
	// asked is when was asked about a namespace; "" for all of them.
	asked map[string]time.Time
}

// review asks about the namespaces of the ports in a scope, as far as it has not
// done so lately.
func (r *reviewer) review(ctx context.Context, world *collect.World, scope Scope) {
	if r.session.config.ReadOnly {
		return
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	namespaces := slices.DeleteFunc(concerning(world, scope), func(namespace string) bool {
		return time.Since(r.asked[namespace]) < rememberedFor
	})
	if r.busy || len(namespaces) == 0 {
		return
	}
	r.busy = true
	for _, namespace := range namespaces {
		r.asked[namespace] = time.Now()
	}
	r.running.Go(func() {
		r.ask(ctx, namespaces)
		r.lock.Lock()
		r.busy = false
		r.lock.Unlock()
	})
}

// concerning are the namespaces of what could be changed in the scope.
func concerning(world *collect.World, scope Scope) []string {
	ports, _ := world.Within(scope.Namespace, scope.All)
	var list []string
	for _, port := range ports {
		list = append(list, port.Service.Namespace)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), mostReviewed)]
}

// ask notes what may be done in each namespace. Whoever may do it in all is asked
// about once.
func (r *reviewer) ask(ctx context.Context, namespaces []string) {
	for _, verb := range [...]string{"patch", "create"} {
		everywhere, known := r.may(ctx, verb, "")
		for _, namespace := range namespaces {
			allowed := everywhere
			if !everywhere {
				allowed, known = r.may(ctx, verb, namespace)
			}
			if !known {
				return // Nobody knows, and so nothing is hidden.
			}
			r.session.noteRight(right{verb: verb, resource: policies, namespace: namespace}, allowed)
		}
	}
}

func (r *reviewer) may(ctx context.Context, verb, namespace string) (allowed, known bool) {
	client, err := r.session.config.Cluster.Client()
	if err != nil {
		return false, false
	}
	ctx, cancel := context.WithTimeout(ctx, reviewPatience)
	defer cancel()
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: verb, Group: gatewayv1.GroupName, Resource: "backendtlspolicies", Namespace: namespace,
		},
	}}
	if err := client.Create(ctx, review); err != nil {
		return false, false
	}
	return review.Status.Allowed, true
}
