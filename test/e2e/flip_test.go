package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

const (
	// flips is how often the policy moves.
	flips = 50
	// flipClients and flipPause make 200 requests a second over three hosts.
	flipClients = 2
	flipPause   = 25 * time.Millisecond
	// flipBound is the documented end of what is under way, and flipSlack how late
	// a busy machine may notice it.
	flipBound = 3 * time.Second
	flipSlack = 5 * time.Second
	// ackPatience is how long operator/xds waits where a trust ends.
	ackPatience = 300 * time.Millisecond
)

// stance is a state of the policy, and which hosts' certificates it accepts.
type stance struct {
	name    string
	options map[string]string
	accepts []string
}

// stances are of a policy for three Services: one whose certificate the CA
// issued, one whose key is pinned, one for which both is true.
func (f *fixtures) stances(always *pki.Identity) map[string]stance {
	pins := options("pins", f.key(f.self)+" "+f.key(always), "pins-only", "true")
	over := maps.Clone(pins)
	maps.Copy(over, f.mode("InsecureSkipVerification"))
	all := []string{"issued", "pinned", "always"}
	return map[string]stance{
		"strict": {"strict", nil, []string{"issued", "always"}},
		"pins":   {"pins", pins, []string{"pinned", "always"}},
		// The mode is laid over what is written, as `skip-verify on` does it: until
		// status has said so, and once it is over, that decides.
		"skip":           {"skip over strict", f.mode("InsecureSkipVerification"), all},
		"skip over pins": {"skip over pins", over, all},
	}
}

// generation is a stance that was written, and when that was and when status said
// that it is in force.
type generation struct {
	stance
	number              int64
	written, programmed time.Time
}

// late says whether Envoy may have taken so long to acknowledge a cluster that its
// routes were moved without waiting any more: a trust that ends is not prolonged
// because a machine is slow, and a cluster that is not warm answers 500.
func (g generation) late() bool { return g.programmed.Sub(g.written) > ackPatience }

// flipping is the world of the flip test.
type flipping struct {
	*world
	f       *fixtures
	history []generation
	streams []*longStream
	// excused are answers of 500 while Envoy was slow.
	excused int
}

// TestTheTrustThatIsProgrammedIsTheOneThatAnswers moves a policy between skip,
// pins and strict under traffic. No request that was sent after Programmed=True at
// a generation is answered by a backend which that generation refuses, unless a
// newer one was written meanwhile that accepts it; none fails that every
// generation in force accepts; and what was under way before ends in time.
func TestTheTrustThatIsProgrammedIsTheOneThatAnswers(t *testing.T) {
	f := newFixtures(t)
	h := &flipping{world: newWorld(t), f: f}
	h.base(strings.Replace(allowAll, "{backendTLS", fmt.Sprintf("{envoy: {maxStreamDuration: %s}, backendTLS", flipBound), 1))
	h.write("bundles.yaml", f.bundles)
	always := f.leaf(f.ca, f.host)
	h.write("services.yaml", service("issued", "issued.test", serve(t, f.good), "https")+
		service("pinned", "pinned.test", serve(t, f.self), "https")+
		service("always", "always.test", serve(t, always), "https"))
	stances := f.stances(always)
	h.move(stances["strict"], 1)
	h.start()
	h.settle()
	claims := h.watch(t.Context())
	hosts := map[string]*traffic{}
	for _, host := range []string{"issued", "pinned", "always"} {
		hosts[host] = h.trafficAt(host+".test", flipClients, flipPause)
	}
	hosts["always"].both(h.world, time.Time{}, http.StatusOK)
	order := []string{"skip", "pins", "strict", "pins", "skip over pins", "strict"}
	for i := range flips {
		next := stances[order[i%len(order)]]
		h.stream(next)
		h.move(next, int64(i+2))
		h.settle()
	}
	hosts["always"].both(h.world, time.Now(), http.StatusOK)
	h.endStreams()
	list := claims()
	for host, tr := range hosts {
		tr.end()
		h.judge(host, tr.since(time.Time{}), list)
	}
	h.report(hosts)
}

// move writes the policy in another stance.
func (h *flipping) move(next stance, number int64) {
	text := policy("api", h.f.trusted, next.options)
	text = strings.Replace(text, `targetRefs: [{group: "", kind: Service, name: api}]`,
		`targetRefs: [{group: "", kind: Service, name: issued}, {group: "", kind: Service, name: pinned}, `+
			`{group: "", kind: Service, name: always}]`, 1)
	// The time before the write: the operator may read the file at once.
	h.history = append(h.history, generation{stance: next, number: number, written: time.Now()})
	h.write("policy.yaml", text)
}

// settle waits until status says that the newest generation is in force, and for
// one pause more, so that requests are sent under it.
func (h *flipping) settle() {
	h.t.Helper()
	last := &h.history[len(h.history)-1]
	h.eventually(fmt.Sprintf("%s programmed at generation %d", last.name, last.number), func() bool {
		condition := h.policyCondition("api", "Programmed")
		_, generation, _ := readStatus[gatewayv1.PolicyStatus](h.world, "BackendTLSPolicy", "api")
		return condition.Status == "True" && condition.ObservedGeneration == last.number && generation == last.number
	})
	last.programmed = time.Now()
	<-time.After(4 * flipPause)
}

// judge holds the answers of a host against what was in force.
func (h *flipping) judge(host string, answers []answer, claims []claim) {
	h.t.Helper()
	faults := map[string]int{}
	for _, a := range answers {
		inForce := h.inForce(a, claims)
		accepted := func(g generation) bool { return slices.Contains(g.accepts, host) }
		names := make([]string, len(inForce))
		for i, g := range inForce {
			names[i] = g.name
		}
		switch {
		case a.status == http.StatusOK && !slices.ContainsFunc(inForce, accepted):
			faults[fmt.Sprintf("answered although %v refuse it", names)]++
		case a.status == http.StatusInternalServerError && slices.ContainsFunc(inForce[1:], generation.late):
			h.excused++
		case a.status != http.StatusOK && !slices.ContainsFunc(inForce, func(g generation) bool { return !accepted(g) }):
			faults[fmt.Sprintf("got %d although %v accept it", a.status, names)]++
		}
	}
	for _, fault := range slices.Sorted(maps.Keys(faults)) {
		h.t.Errorf("%s.test: %d of %d requests: %s", host, faults[fault], len(answers), fault)
	}
}

// inForce are the generations that may decide about a request: the newest that
// was Programmed before it was sent, and those written after that one and before
// it was answered.
func (h *flipping) inForce(a answer, claims []claim) []generation {
	var programmed int64
	for _, c := range claims {
		if c.programmed && c.from.Before(a.sent) {
			programmed = max(programmed, c.generation)
		}
	}
	var list []generation
	for _, g := range h.history {
		if g.number >= programmed && g.written.Before(a.answered) {
			list = append(list, g)
		}
	}
	return list
}

// report says what was seen, and fails if that was too little to prove anything.
func (h *flipping) report(hosts map[string]*traffic) {
	h.t.Helper()
	late := 0
	for _, g := range h.history {
		if g.late() {
			late++
		}
	}
	h.t.Logf("%d of %d moves took longer than %s; %d answers of 500 are excused by that", late, flips, ackPatience, h.excused)
	for host, tr := range hosts {
		all := tr.since(time.Time{})
		ok, kept := 0, 0
		for _, a := range all {
			if a.status == http.StatusOK {
				ok++
			}
			if a.reused {
				kept++
			}
		}
		h.t.Logf("%s.test: %d requests, %d answered by the backend, %d over kept connections", host, len(all), ok, kept)
		if ok == 0 || host != "always" && ok == len(all) || kept < len(all)*9/10 {
			h.t.Errorf("%s.test: %d of %d requests were answered, %d over kept connections: nothing is proved",
				host, ok, len(all), kept)
		}
	}
}
