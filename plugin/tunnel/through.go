package tunnel

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/tlsprobe"
)

// Through makes handshakes with pods through a Forwarder.
type Through struct {
	Forwarder *Forwarder
	// Prober makes the handshakes; its own Dial is not used.
	Prober tlsprobe.Prober

	lock sync.Mutex
	// forbidden is the first refusal of each namespace.
	forbidden map[string]*ForbiddenError
}

// NewThrough makes handshakes by the prober with pods of the cluster.
func NewThrough(cluster *rest.Config, prober tlsprobe.Prober) (*Through, error) {
	forwarder, err := NewForwarder(cluster)
	if err != nil {
		return nil, err
	}
	return &Through{Forwarder: forwarder, Prober: prober}, nil
}

// Probe asks the pod behind an endpoint. What cannot be asked this way at all is
// Unsupported, because no pod is behind it, or Forbidden, because the person may
// not: neither says anything of the endpoint.
func (t *Through) Probe(ctx context.Context, endpoint model.Endpoint, sni string) model.Observation {
	if endpoint.Pod.IsZero() {
		return model.Observation{
			Endpoint: endpoint, At: t.Prober.Now(), SNI: sni, Fault: model.FaultUnsupported,
			Err: "no pod is behind this address, so port-forward does not reach it: --via direct asks it from here",
		}
	}
	seen, spoiled := t.once(ctx, endpoint, sni, false)
	if spoiled && ctx.Err() == nil {
		seen, _ = t.once(ctx, endpoint, sni, true)
	}
	return seen
}

// once makes one attempt; spoiled says that it failed for another's fault.
func (t *Through) once(
	ctx context.Context, endpoint model.Endpoint, sni string, alone bool,
) (seen model.Observation, spoiled bool) {
	var failed error
	var opened *stream
	prober := t.Prober
	prober.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		opened, failed = t.Forwarder.dial(ctx, endpoint.Pod.NamespacedName(), endpoint.Address.Port(), alone)
		if failed != nil {
			return nil, failed
		}
		return opened, nil
	}
	seen = prober.Probe(ctx, endpoint, sni)
	if forbidden, is := errors.AsType[*ForbiddenError](failed); is {
		seen.Fault, seen.Err = model.FaultForbidden, forbidden.Error()
		t.note(forbidden)
		return seen, false
	}
	if failed != nil {
		if errors.Is(failed, context.DeadlineExceeded) {
			seen.Fault = model.FaultTimeout
		}
		return seen, errors.Is(failed, errSpoiled)
	}
	_ = opened.Close() // The probe has closed it; this waits until that is done.
	if reason := opened.refusal(); reason != "" && seen.Fault != "" && !opened.heard.Load() {
		seen.Fault, seen.Err = model.FaultUnreachable, (&RefusedError{Port: opened.port, Reason: reason}).Error()
		seen.Connected = false // The tunnel was there, the pod's port was not.
		return seen, false
	}
	return seen, seen.Fault != "" && opened.victim
}

func (t *Through) note(err *ForbiddenError) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.forbidden == nil {
		t.forbidden = map[string]*ForbiddenError{}
	}
	if t.forbidden[err.Pod.Namespace] == nil {
		t.forbidden[err.Pod.Namespace] = err
	}
}

// Forbidden lists what the person may not, once for each namespace.
func (t *Through) Forbidden() []error {
	t.lock.Lock()
	defer t.lock.Unlock()
	var list []error
	for _, namespace := range slices.Sorted(maps.Keys(t.forbidden)) {
		list = append(list, t.forbidden[namespace])
	}
	return list
}
