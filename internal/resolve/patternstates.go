package resolve

import (
	"encoding/binary"
	"regexp/syntax"
	"slices"
)

const (
	// fullPattern is more than one expression can take in Envoy, in bytes. RE2 has
	// 8 MiB for it, of which two thirds are for what it needs to match forwards (re2.cc,
	// RE2::Init), at most a quarter of those for a one-pass program (onepass.cc,
	// Prog::IsOnePass), and half of what is left for the states that it keeps (dfa.cc,
	// Prog::GetDFA): all of it 3.4 MiB.
	fullPattern = 4 << 20

	// patternWork bounds how long one expression is looked at, in steps of some
	// nanoseconds each.
	patternWork = 1 << 18

	// patternBase is what an expression takes without its program, and perNode what
	// one instruction of that does.
	patternBase = 4 << 10
	perNode     = 80
)

// patternMemory is the most that Envoy may come to keep for a regular expression
// that checkPattern took, in bytes. Envoy's RE2 finds out what a text of any kind
// leads to as such texts come, and keeps each state that it met until it has no
// memory left; then it begins anew (dfa.cc). Few expressions have many states, but
// they are easily written. An expression that cannot be seen through with the work
// that is left counts as one that has all.
func patternMemory(pattern string, work *int) int {
	left := min(*work, patternWork)
	before := left
	defer func() { *work -= before - left }()
	if left <= 0 {
		return fullPattern
	}
	graph, err := newByteGraph(pattern, &left)
	if err != nil || left < 0 {
		return fullPattern
	}
	s := newStateSearch(graph, left)
	// The one-pass program has a number for each class of bytes at each node.
	s.size = patternBase + perNode*len(graph.edges) + 4*(graph.total+2)*(graph.count+1)
	s.search()
	left = s.work
	if s.work < 0 {
		return fullPattern
	}
	return min(s.size, fullPattern)
}

// stateSearch determinizes a byteGraph as RE2 does when it matches whole texts
// (dfa.cc, kLongestMatch, anchored), in all directions.
type stateSearch struct {
	graph *byteGraph
	// known are the states that were found, next those that were not looked at yet.
	known map[string]bool
	next  []dfaState
	// size is what all of them take, work what is left of it.
	size, work int
	// nodes are those that the state at hand is at: seen has round for each.
	nodes, stack []int32
	seen         []int
	round        int
	// into are the nodes that each class of bytes leads to.
	into [256][]int32
}

// dfaState is where an expression can be after some text.
type dfaState struct {
	targets []int32
	// last is a character that stands for the one before, -1 for none, where the
	// expression asks about it.
	last rune
	// matched: the text without its last byte matches.
	matched bool
}

func newStateSearch(graph *byteGraph, work int) *stateSearch {
	return &stateSearch{graph: graph, work: work, seen: make([]int, len(graph.edges)), known: map[string]bool{}}
}

func (s *stateSearch) search() {
	last := rune(' ')
	asks := slices.ContainsFunc(s.graph.program.Inst, func(inst syntax.Inst) bool {
		return inst.Op == syntax.InstEmptyWidth
	})
	if asks {
		last = -1
	}
	s.add(dfaState{targets: []int32{int32(s.graph.program.Start)}, last: last})
	representative := [256]int{}
	for b, class := range s.graph.classes {
		representative[class] = b
	}
	for len(s.next) > 0 && s.size < fullPattern && s.work >= 0 {
		state := s.next[len(s.next)-1]
		s.next = s.next[:len(s.next)-1]
		if !asks {
			s.leave(s.follow(&state, 0), func(int) bool { return true }, last)
			continue
		}
		for _, kind := range [...]rune{'\n', 'a', ' '} {
			matches := s.follow(&state, syntax.EmptyOpContext(state.last, kind))
			s.leave(matches, func(class int) bool { return standsFor(representative[class]) == kind }, kind)
		}
	}
}

// standsFor is a line break, a letter or a blank.
func standsFor(b int) rune {
	switch {
	case b == '\n':
		return '\n'
	case syntax.IsWordChar(rune(b)):
		return 'a'
	default:
		return ' '
	}
}

// follow finds the nodes that a state is at, and whether it matches.
func (s *stateSearch) follow(state *dfaState, holds syntax.EmptyOp) (matches bool) {
	s.round++
	s.nodes = s.nodes[:0]
	s.stack = append(s.stack[:0], state.targets...)
	for len(s.stack) > 0 {
		node := s.stack[len(s.stack)-1]
		s.stack = s.stack[:len(s.stack)-1]
		if s.seen[node] == s.round {
			continue
		}
		s.seen[node] = s.round
		s.nodes = append(s.nodes, node)
		if int(node) >= len(s.graph.program.Inst) {
			continue
		}
		switch inst := &s.graph.program.Inst[node]; inst.Op {
		case syntax.InstAlt, syntax.InstAltMatch:
			s.stack = append(s.stack, int32(inst.Arg), int32(inst.Out))
		case syntax.InstCapture, syntax.InstNop:
			s.stack = append(s.stack, int32(inst.Out))
		case syntax.InstEmptyWidth:
			if syntax.EmptyOp(inst.Arg)&^holds == 0 {
				s.stack = append(s.stack, int32(inst.Out))
			}
		case syntax.InstMatch:
			matches = true
		default: // What takes a character stays, and so does what fails.
		}
	}
	s.work -= len(s.nodes)
	// What RE2 keeps of a state is a number for each node at most.
	s.size += 5 * len(s.nodes)
	return matches
}

// leave adds the states that the classes of bytes lead to from the nodes at hand.
func (s *stateSearch) leave(matches bool, takes func(class int) bool, last rune) {
	for _, node := range s.nodes {
		for _, edge := range s.graph.edges[node] {
			classes := s.graph.ranges[edge.bytes]
			for _, class := range classes {
				s.into[class] = append(s.into[class], edge.node)
			}
			s.work -= 1 + len(classes)
		}
	}
	for class := range s.graph.count {
		targets := s.into[class]
		s.into[class] = targets[:0]
		if !takes(class) {
			continue
		}
		s.work -= 4 + 4*len(targets)
		slices.Sort(targets)
		s.add(dfaState{targets: slices.Compact(targets), last: last, matched: matches})
	}
}

// add keeps a state that is new. One without a node is dead, unless it tells that
// there was a match.
func (s *stateSearch) add(state dfaState) {
	if len(state.targets) == 0 {
		if !state.matched {
			return
		}
		state.last = ' '
	}
	key := make([]byte, 0, 64)
	key = binary.AppendVarint(key, int64(state.last))
	if state.matched {
		key = append(key, 1)
	} else {
		key = append(key, 0)
	}
	for _, target := range state.targets {
		key = binary.AppendUvarint(key, uint64(target))
	}
	if s.known[string(key)] {
		return
	}
	s.known[string(key)] = true
	state.targets = slices.Clone(state.targets)
	s.next = append(s.next, state)
	// Some fields, an entry of the table, and an address for each class of bytes and
	// for the end of the text (dfa.cc, DFA::CachedState); an eighth for the allocator.
	s.size += 64 + 9*(s.graph.count+1)
}
