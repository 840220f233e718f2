package authority

import (
	"errors"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The bounds of the steps, unless the Config has others.
const (
	// TrustFirst is how long a new CA is trusted before it signs. The bundle is
	// written into the ConfigMap of each fleet within seconds, and again until it
	// is there; the kubelet brings it to the pods within its sync period and the
	// time to live of its cache, two minutes by default, and Envoy reads it then.
	// This is five times as long.
	TrustFirst = 10 * time.Minute
	// TrustAfter is how long a CA is trusted after it signed last. A replica that
	// could not read the Secret in the meantime goes on with the old CA that long;
	// after that Envoys turn to the others.
	TrustAfter = time.Hour
	// clockSkew is how far the clocks of replicas, and of Envoys, may be apart.
	clockSkew = time.Minute
)

// next decides the step that is due: the state to write and what it is, ""
// for none. Held is nil where the Secret has a fault.
func (a *Authority) next(secret *corev1.Secret, held *state, fault error) (due *state, why string, err error) {
	now := a.config.Now()
	request := secret.Annotations[AnnotationRotate]
	if held == nil {
		return a.recover(request, fault, now)
	}
	following := *held
	following.repairs = nil
	switch {
	case held.next != nil && held.nextSince.IsZero():
		following.nextSince = now
		return &following, "counting anew since when the next one is trusted", nil
	case held.previous != nil && held.previousSince.IsZero():
		following.previousSince = now
		return &following, "counting anew since when the previous one does not sign", nil
	case held.next != nil && now.Sub(held.nextSince) >= a.config.TrustFirst:
		following.current, following.previous, following.previousSince = held.next, held.current, now
		following.next, following.nextSince = nil, time.Time{}
		return &following, "the next one signs now, the previous one is still trusted", nil
	case held.previous != nil && now.Sub(held.previousSince) >= a.config.TrustAfter:
		following.previous, following.previousSince = nil, time.Time{}
		return &following, "the previous one is not trusted any more", nil
	case held.next == nil && held.previous == nil && (held.asked(request) || held.current.old(now)):
		following.rotated = request
		following.next, err = newCA(now)
		following.nextSince = now
		return &following, "a new one is trusted, and signs in " + a.config.TrustFirst.String(), err
	case len(held.repairs) > 0:
		a.config.Log.Error("leaving out a part of the xds CA's secret that cannot be used",
			"secret", a.secret.String(), "parts", strings.Join(held.repairs, "; "))
		return &following, "the rest was written anew", nil
	default:
		return held, "", nil
	}
}

// asked says whether the request to rotate is a new one. Removing the
// annotation is none.
func (s *state) asked(request string) bool { return request != "" && request != s.rotated }

// recover is the first step out of a Secret without a CA. Where this replica
// remembers one that is still good, Envoys trust that: it goes on to sign while
// a new one is made known. Otherwise there is nothing that could be kept.
func (a *Authority) recover(request string, fault error, now time.Time) (*state, string, error) {
	made, err := newCA(now)
	if err != nil {
		return nil, "", err
	}
	if !errors.Is(fault, errEmpty) {
		a.config.Log.Error("replacing an xds CA that cannot be used", "secret", a.secret.String(), "error", fault)
	}
	before := a.known()
	if before == nil || before.current.expired(now) {
		return &state{current: made, rotated: request}, "created", nil
	}
	return &state{
		current: before.current, next: made, nextSince: now, rotated: request,
	}, "created after the secret was emptied; the one before signs for " + a.config.TrustFirst.String() + " more", nil
}
