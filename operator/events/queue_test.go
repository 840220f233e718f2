package events

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
)

// some puts Events into a queue, each "NAMESPACE/NAME", and says which were
// dropped. In upper case one is a Warning.
func some(q *queue, names ...string) (dropped []string) {
	for _, name := range names {
		namespace, own, _ := strings.Cut(name, "/")
		event := &eventsv1.Event{Namespace: namespace, Name: own, Type: "Normal"}
		if own == strings.ToUpper(own) {
			event.Type = "Warning"
		}
		if event := q.put(event); event != nil {
			dropped = append(dropped, event.Namespace+"/"+event.Name)
		}
	}
	return dropped
}

// rest is what a queue gives until it is empty.
func rest(q *queue) (names []string) {
	for event := q.next(); event != nil; event = q.next() {
		names = append(names, event.Namespace+"/"+event.Name)
	}
	return names
}

func TestAQueueIsFairToNamespaces(t *testing.T) {
	for sentence, c := range map[string]struct{ put, dropped, rest string }{
		"what came first of a namespace goes first":           {"a/x a/y a/z", "", "a/x a/y a/z"},
		"Warnings go before the rest":                         {"a/x a/W a/y a/V", "", "a/W a/V a/x a/y"},
		"namespaces take turns":                               {"a/x a/y a/z b/x c/X", "", "a/x b/x c/X a/y a/z"},
		"where too many wait the last of the most is dropped": {"a/x a/y b/X a/z b/Y", "a/z", "a/x b/X a/y b/Y"},
		"a Warning is dropped after the rest":                 {"a/X a/y a/Z a/V b/x", "a/y", "a/X b/x a/Z a/V"},
		"of equals the one whose turn comes last":             {"a/x b/x c/x d/x e/X", "e/X", "a/x b/x c/x d/x"},
	} {
		t.Run(sentence, func(t *testing.T) {
			q := newQueue(len(strings.Fields(c.rest)))
			if got := strings.Join(some(q, strings.Fields(c.put)...), " "); got != c.dropped {
				t.Errorf("dropped %q, want %q", got, c.dropped)
			}
			if got := strings.Join(rest(q), " "); got != c.rest {
				t.Errorf("then %q, want %q", got, c.rest)
			}
			if len(q.lanes)+len(q.turns)+q.waiting != 0 {
				t.Errorf("left behind: %d lanes, %d turns, %d waiting", len(q.lanes), len(q.turns), q.waiting)
			}
		})
	}
}

func TestWhoeverHasNoMoreThanHisShareLosesNothing(t *testing.T) {
	for seed := range uint64(50) {
		chance := rand.New(rand.NewPCG(seed, 0))
		q, waiting := newQueue(1+chance.IntN(40)), map[string]int{}
		namespaces := 1 + chance.IntN(12)
		for i := range 2000 {
			if chance.IntN(4) == 0 {
				if event := q.next(); event != nil {
					waiting[event.Namespace]--
				}
				continue
			}
			// The first namespaces tell much more than the last.
			namespace := fmt.Sprintf("n%d", chance.IntN(1+chance.IntN(namespaces)))
			waiting[namespace]++
			n := 0
			for _, has := range waiting {
				if has > 0 {
					n++
				}
			}
			for _, name := range some(q, fmt.Sprintf("%s/%s%d", namespace, []string{"e", "E"}[chance.IntN(2)], i)) {
				loser, _, _ := strings.Cut(name, "/")
				if waiting[loser]*n <= q.capacity {
					t.Fatalf("seed %d: %s lost one of %d, with %d namespaces and room for %d", seed, loser, waiting[loser], n, q.capacity)
				}
				waiting[loser]--
			}
			if q.waiting > q.capacity {
				t.Fatalf("seed %d: %d wait, there is room for %d", seed, q.waiting, q.capacity)
			}
		}
		for _, name := range rest(q) {
			namespace, _, _ := strings.Cut(name, "/")
			waiting[namespace]--
		}
		for namespace, n := range waiting {
			if n != 0 {
				t.Errorf("seed %d: %d of %s are neither dropped nor given out", seed, n, namespace)
			}
		}
	}
}
