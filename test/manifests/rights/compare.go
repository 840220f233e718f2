package rights

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Excuse is a right that may go unused, and why.
type Excuse struct {
	// Group, Resource and Verb are the right's; "" is any.
	Group, Resource, Verb string
	// Beside is the verb that has to be used on the resource for the excuse to
	// hold; "" is none.
	Beside string
	Why    string
}

// Verdict is what a comparison found.
type Verdict struct {
	// Superfluous are rights that no request used.
	Superfluous []Grant
	// Missing are requests that were forbidden and that no right covers. One that a
	// right covers came to an API server that had just started and did not know the
	// roles yet.
	Missing []Request
	// Idle are excuses that excused nothing: they should go.
	Idle []Excuse
}

// Compare compares grants with what was asked for.
func Compare(grants []Grant, requests Requests, excuses []Excuse) Verdict {
	forbidden := slices.SortedFunc(maps.Keys(requests.Forbidden), func(a, b Request) int {
		return cmp.Compare(a.String(), b.String())
	})
	verdict := Verdict{Missing: slices.DeleteFunc(forbidden, func(request Request) bool {
		return slices.ContainsFunc(grants, func(grant Grant) bool { return grant.covers(request) })
	})}
	needed := make([]bool, len(excuses))
	for _, grant := range grants {
		if used(grant, requests) {
			continue
		}
		excused := false
		for i, excuse := range excuses {
			if excuse.holds(grant, requests) {
				needed[i], excused = true, true
			}
		}
		if !excused {
			verdict.Superfluous = append(verdict.Superfluous, grant)
		}
	}
	for i, excuse := range excuses {
		if !needed[i] {
			verdict.Idle = append(verdict.Idle, excuse)
		}
	}
	return verdict
}

// Faults are the findings as sentences, none if roles and requests agree.
func (v Verdict) Faults() []string {
	var faults []string
	for _, grant := range v.Superfluous {
		faults = append(faults, fmt.Sprintf("nobody used %s: take it out of the role", grant))
	}
	for _, request := range v.Missing {
		faults = append(faults, fmt.Sprintf("forbidden: %s: the roles lack it", request))
	}
	for _, excuse := range v.Idle {
		faults = append(faults, fmt.Sprintf("an excuse for %s is not needed: take it out (%s)",
			describe(excuse.Verb, excuse.Group, excuse.Resource, "", ""), excuse.Why))
	}
	return faults
}

func used(grant Grant, requests Requests) bool {
	for request := range requests.Allowed {
		if grant.covers(request) {
			return true
		}
	}
	return false
}

// covers says whether a right is one for that request.
func (g Grant) covers(r Request) bool {
	return g.Group == r.Group && g.Resource == r.Resource && g.Verb == r.Verb &&
		(g.Namespace == "" || g.Namespace == r.Namespace) &&
		(g.Name == "" || g.Name == r.Name)
}

func (e Excuse) holds(grant Grant, requests Requests) bool {
	is := func(own, of string) bool { return own == "" || own == of }
	if !is(e.Group, grant.Group) || !is(e.Resource, grant.Resource) || !is(e.Verb, grant.Verb) {
		return false
	}
	if e.Beside == "" {
		return true
	}
	grant.Verb = e.Beside
	return used(grant, requests)
}
