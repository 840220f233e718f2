package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// word is what the status of policy api says: of each kind of condition, its
// status and reason at the policy's generation, "" for nothing.
type word struct {
	at                   time.Time
	programmed, degraded string
	// message is Programmed's.
	message string
}

func (w *word) String() string {
	return fmt.Sprintf("%s Programmed=%s SecurityDegraded=%s (%s)", w.at.Format("15:04:05.000"), w.programmed, w.degraded, w.message)
}

// witness notes every change of the policy's status, also between generations.
type witness struct {
	space *space
	mu    sync.Mutex
	words []word
}

func newWitness(t *testing.T, space *space) *witness {
	w := &witness{space: space}
	ctx, stop := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	t.Cleanup(func() {
		stop()
		looking.Wait()
	})
	return w
}

func (w *witness) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var policy gatewayv1.BackendTLSPolicy
	at := time.Now()
	if err := here.client.Get(ctx, w.space.key("api"), &policy); err != nil {
		return // Nothing is said while the API server is away.
	}
	now := said(&policy)
	now.at = at
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.words); n > 0 && w.words[n-1].programmed == now.programmed && w.words[n-1].degraded == now.degraded {
		return
	}
	w.words = append(w.words, now)
}

// said is what our entry in a policy's status says. A condition of an earlier
// generation says nothing of this one.
func said(policy *gatewayv1.BackendTLSPolicy) (now word) {
	for _, ancestor := range policy.Status.Ancestors {
		if string(ancestor.ControllerName) != "backendtls.dev/gateway-controller" {
			continue
		}
		for _, condition := range ancestor.Conditions {
			if condition.ObservedGeneration != policy.Generation {
				continue
			}
			text := string(condition.Status) + "/" + condition.Reason
			switch condition.Type {
			case "Programmed":
				now.programmed, now.message = text, condition.Message
			case "SecurityDegraded":
				now.degraded = text
			}
		}
	}
	return now
}

// What a status says when all is well.
const (
	programmed = string(metav1.ConditionTrue) + "/Programmed"
	strict     = string(metav1.ConditionFalse) + "/Strict"
	// An Envoy has yet to take what it was sent, or has not been heard of by the
	// replicas that are there: soon after one of either was started.
	pending  = string(metav1.ConditionFalse) + "/Pending"
	notHeard = string(metav1.ConditionUnknown) + "/NotHeard"
)

// since is what was said from a moment on, beginning with what held then.
func (w *witness) since(moment time.Time) []word {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := 0
	for i := range w.words {
		if !w.words[i].at.After(moment) {
			first = i
		}
	}
	return slices.Clone(w.words[first:])
}

// only fails the test if Programmed said anything but one of these since a
// moment, or if SecurityDegraded said anything but that verification is strict.
// Nothing is always allowed: it is what a new generation has at first.
func (w *witness) only(t *testing.T, moment time.Time, allowed ...string) {
	t.Helper()
	var all []string
	wrong := false
	for _, now := range w.since(moment) {
		all = append(all, now.String())
		if now.programmed != "" && !slices.Contains(allowed, now.programmed) || now.degraded != "" && now.degraded != strict {
			wrong = true
		}
	}
	t.Logf("the status said:\n%s", strings.Join(all, "\n"))
	if wrong {
		t.Errorf("allowed are Programmed=%v and SecurityDegraded=%s", allowed, strict)
	}
}

// generation gives the policy a new one, that changes nothing else: an option
// that is somebody else's.
func (w *witness) generation(t *testing.T) {
	t.Helper()
	policy := &gatewayv1.BackendTLSPolicy{}
	policy.Namespace, policy.Name = w.space.name, "api"
	patch := fmt.Sprintf(`{"spec":{"options":{"example.com/at":%q}}}`, time.Now().Format("150405.000000"))
	if err := here.client.Patch(t.Context(), policy, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
}

// right waits until the status is right at a new generation: whoever leads has
// read it, all Envoys have what it says, and the status is written.
func (w *witness) right(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	w.generation(t)
	eventually(t, within, "the status is right at a new generation", func() string {
		var policy gatewayv1.BackendTLSPolicy
		if err := here.client.Get(t.Context(), w.space.key("api"), &policy); err != nil {
			return err.Error()
		}
		if now := said(&policy); now.programmed != programmed || now.degraded != strict {
			return now.String()
		}
		return ""
	})
	t.Logf("the status was right at a new generation after %s", time.Since(began).Round(10*time.Millisecond))
}
