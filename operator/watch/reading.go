package watch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// parallel is how many contents are read at a time. What waits for its turn
// while so many are not answered becomes unreadable like them.
const parallel = 64

// order is to read a content.
type order struct {
	key     gwapi.Key
	entry   *entry
	turn    int
	version string
	since   time.Time
}

// run carries out orders until ctx ends.
func (c *contents) run(ctx context.Context) {
	var reading sync.WaitGroup
	defer reading.Wait()
	slots := make(chan struct{}, parallel)
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.orders:
		}
		for _, o := range c.begin(ctx) {
			reading.Go(func() { c.read(o.ctx, o.order, slots) })
		}
	}
}

// begun is an order that can be called off.
type begun struct {
	order
	ctx context.Context
}

// begin takes the orders that are not void.
func (c *contents) begin(ctx context.Context) []begun {
	c.source.mu.Lock()
	defer c.source.mu.Unlock()
	var list []begun
	for _, o := range c.queue {
		if c.entries[o.key] == o.entry && o.entry.turn == o.turn {
			own, stop := context.WithCancel(ctx)
			o.entry.stop = stop
			list = append(list, begun{o, own})
		}
	}
	c.queue = nil
	return list
}

// read tries until it has the content, or until the order is void. Once
// patience has ended the object counts as unreadable.
func (c *contents) read(ctx context.Context, o order, slots chan struct{}) {
	pace := c.source.pace
	deadline := o.since.Add(pace.patience)
	wait, refused := pace.soon, false
	var last error
	for {
		limit := pace.attempt
		if !refused {
			limit = min(limit, time.Until(deadline))
		}
		object, err := c.fetch(ctx, o.key, slots, limit)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			full := c.keep(o, object)
			if full == nil {
				return
			}
			// More patience makes no room; somebody else may.
			err, deadline = full, time.Time{}
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err // The last try may end for lack of time, and say nothing.
		}
		switch {
		case refused:
			wait = min(2*wait, pace.latest)
		case !time.Now().Before(deadline):
			c.refuse(o, unreadable(last, pace.patience), last)
			refused, wait = true, pace.later
		default:
			wait = min(2*wait, 10*pace.soon, time.Until(deadline))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// fetch is one try: nil for an object that does not exist.
func (c *contents) fetch(
	ctx context.Context, key gwapi.Key, slots chan struct{}, limit time.Duration,
) (client.Object, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var object client.Object = &corev1.ConfigMap{}
	if key.Kind == gwapi.KindSecret {
		object = &corev1.Secret{}
	}
	err := c.source.config.Client.Get(ctx, key.NamespacedName(), object)
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // That it does not exist is an answer.
	}
	if err != nil {
		return nil, err
	}
	object.SetManagedFields(nil)
	object.SetAnnotations(nil)
	return object, nil
}

// unreadable is the fault as statuses tell it. What differs from try to try,
// such as ports and times, is left to the log.
func unreadable(err error, patience time.Duration) string {
	if full, is := errors.AsType[*fullError](err); is {
		return full.Error()
	}
	var answer apierrors.APIStatus
	if errors.As(err, &answer) && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("its content cannot be read: %s", answer.Status().Message)
	}
	return fmt.Sprintf("its content cannot be read: the API server has not answered within %s", patience)
}
