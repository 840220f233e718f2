package resolve

import (
	"regexp/syntax"
	"unicode"
	"unicode/utf8"
)

// byteGraph is a regular expression as RE2 runs it: by the bytes of UTF-8, where Go
// goes by characters. The first nodes are the instructions of the program, those
// behind them stand within a character.
type byteGraph struct {
	program *syntax.Prog
	edges   [][]byteEdge
	// total is the number of edges.
	total int
	// classes are the bytes that no edge tells apart: each has a number, below count.
	classes [256]uint8
	count   int
	// ranges are the classes that the bytes of an edge have.
	ranges map[byteRange][]uint8
}

// byteEdge leads to a node by any of the bytes.
type byteEdge struct {
	bytes byteRange
	node  int32
}

// byteRange are the bytes from low to high.
type byteRange struct{ low, high byte }

// newByteGraph takes an expression that checkPattern took; work is what it costs.
func newByteGraph(pattern string, work *int) (*byteGraph, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	program, err := syntax.Compile(unanchored(parsed.Simplify()))
	if err != nil {
		return nil, err
	}
	g := &byteGraph{program: program, edges: make([][]byteEdge, len(program.Inst)), count: 1}
	*work -= perInstWork * len(program.Inst)
	for pc := range program.Inst {
		inst := &program.Inst[pc]
		for _, r := range runeRanges(inst) {
			if *work < 0 {
				return g, nil
			}
			g.addRange(int32(pc), r[0], r[1], int32(inst.Out))
			*work -= perRangeWork
		}
	}
	g.classify(work)
	return g, nil
}

// perInstWork is about what it takes to parse and compile an instruction,
// perRangeWork what it takes to write a range of characters as bytes, perSplitWork
// what it takes to tell a range of bytes from all others.
const (
	perInstWork  = 32
	perRangeWork = 16
	perSplitWork = 64
)

// unanchored drops ^ and $ at the ends, which mean nothing where all of a text has
// to match. RE2 does so too (compile.cc, IsAnchorStart and IsAnchorEnd).
func unanchored(re *syntax.Regexp) *syntax.Regexp {
	if re.Op != syntax.OpConcat {
		return re
	}
	if len(re.Sub) > 0 && re.Sub[0].Op == syntax.OpBeginText {
		re.Sub = re.Sub[1:]
	}
	if last := len(re.Sub) - 1; last >= 0 && re.Sub[last].Op == syntax.OpEndText {
		re.Sub = re.Sub[:last]
	}
	return re
}

// runeRanges are the characters that an instruction takes, none where it takes
// none.
func runeRanges(inst *syntax.Inst) (ranges [][2]rune) {
	switch inst.Op {
	case syntax.InstRuneAny:
		return [][2]rune{{0, unicode.MaxRune}}
	case syntax.InstRuneAnyNotNL:
		return [][2]rune{{0, '\n' - 1}, {'\n' + 1, unicode.MaxRune}}
	case syntax.InstRune, syntax.InstRune1:
	default:
		return nil
	}
	if len(inst.Rune) == 1 {
		first := inst.Rune[0]
		ranges = append(ranges, [2]rune{first, first})
		if syntax.Flags(inst.Arg)&syntax.FoldCase != 0 {
			for r := unicode.SimpleFold(first); r != first; r = unicode.SimpleFold(r) {
				ranges = append(ranges, [2]rune{r, r})
			}
		}
		return ranges
	}
	for i := 0; i+1 < len(inst.Rune); i += 2 {
		ranges = append(ranges, [2]rune{inst.Rune[i], inst.Rune[i+1]})
	}
	return ranges
}

// addRange leads from one node to another by the bytes of a range of characters,
// divided as RE2 divides it (compile.cc, Compiler::AddRuneRangeUTF8). RE2 shares
// nodes where this does not, so it has as many states or fewer.
func (g *byteGraph) addRange(from int32, low, high rune, to int32) {
	if low > high {
		return
	}
	if low == utf8.RuneSelf && high == unicode.MaxRune {
		g.addAnyMultibyte(from, to)
		return
	}
	for _, longest := range [...]rune{utf8.RuneSelf - 1, 1<<11 - 1, 1<<16 - 1} {
		if low <= longest && longest < high {
			g.addRange(from, low, longest, to)
			g.addRange(from, longest+1, high, to)
			return
		}
	}
	if high < utf8.RuneSelf {
		g.edges[from] = append(g.edges[from], byteEdge{byteRange{byte(low), byte(high)}, to})
		return
	}
	for bits := 6; bits <= 18; bits += 6 {
		mask := rune(1)<<bits - 1
		switch {
		case low&^mask == high&^mask:
		case low&mask != 0:
			g.addRange(from, low, low|mask, to)
			g.addRange(from, (low|mask)+1, high, to)
			return
		case high&mask != mask:
			g.addRange(from, low, high&^mask-1, to)
			g.addRange(from, high&^mask, high, to)
			return
		}
	}
	first, last := encodedRune(low), encodedRune(high)
	for i := range len(first) - 1 {
		from = g.step(from, first[i], last[i])
	}
	end := len(first) - 1
	g.edges[from] = append(g.edges[from], byteEdge{byteRange{first[end], last[end]}, to})
}

// addAnyMultibyte leads by any character of more than one byte, as RE2 does
// (compile.cc, Compiler::Add_80_10ffff).
func (g *byteGraph) addAnyMultibyte(from, to int32) {
	const lowest, highest = 0x80, 0xbf
	next := to
	for _, lead := range [...]byteRange{{0xc2, 0xdf}, {0xe0, 0xef}, {0xf0, 0xf4}} {
		g.edges = append(g.edges, []byteEdge{{byteRange{lowest, highest}, next}})
		next = int32(len(g.edges) - 1)
		g.edges[from] = append(g.edges[from], byteEdge{lead, next})
	}
}

// step leads to a new node.
func (g *byteGraph) step(from int32, low, high byte) int32 {
	node := int32(len(g.edges))
	g.edges = append(g.edges, nil)
	g.edges[from] = append(g.edges[from], byteEdge{byteRange{low, high}, node})
	return node
}

// encodedRune is UTF-8, also of surrogates, which may bound a range.
func encodedRune(r rune) []byte {
	const lead2, lead3, lead4, more, mask = 0xc0, 0xe0, 0xf0, 0x80, 0x3f
	switch {
	case r < 1<<11:
		return []byte{lead2 | byte(r>>6), more | byte(r)&mask}
	case r < 1<<16:
		return []byte{lead3 | byte(r>>12), more | byte(r>>6)&mask, more | byte(r)&mask}
	default:
		return []byte{lead4 | byte(r>>18), more | byte(r>>12)&mask, more | byte(r>>6)&mask, more | byte(r)&mask}
	}
}

// classify finds the bytes that no edge tells apart. RE2 takes several edges
// together and has as many classes or fewer (prog.cc, ByteMapBuilder).
func (g *byteGraph) classify(work *int) {
	g.ranges = map[byteRange][]uint8{}
	for _, inst := range g.program.Inst {
		if inst.Op == syntax.InstEmptyWidth {
			for _, asked := range [...]byteRange{{'\n', '\n'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}} {
				g.split(asked)
			}
			break
		}
	}
	for _, edges := range g.edges {
		for _, edge := range edges {
			if *work < 0 {
				return
			}
			if _, known := g.ranges[edge.bytes]; !known {
				g.ranges[edge.bytes] = nil
				g.split(edge.bytes)
				*work -= perSplitWork
			}
		}
		g.total += len(edges)
	}
	for bytes := range g.ranges {
		var inside [256]bool
		for b := int(bytes.low); b <= int(bytes.high); b++ {
			inside[g.classes[b]] = true
		}
		for class := range g.count {
			if inside[class] {
				g.ranges[bytes] = append(g.ranges[bytes], uint8(class))
			}
		}
	}
}

// split tells some bytes from all others.
func (g *byteGraph) split(bytes byteRange) {
	var all, inside [256]int
	for b, class := range g.classes {
		all[class]++
		if byte(b) >= bytes.low && byte(b) <= bytes.high {
			inside[class]++
		}
	}
	var renamed [256]uint8
	for class := range g.count {
		renamed[class] = uint8(class)
		if inside[class] > 0 && inside[class] < all[class] {
			renamed[class] = uint8(g.count)
			g.count++
		}
	}
	for b := int(bytes.low); b <= int(bytes.high); b++ {
		g.classes[b] = renamed[g.classes[b]]
	}
}
