package envoy

import (
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

const (
	// maxRegex is the length of the longest expression taken.
	maxRegex = 1024

	// maxProgram bounds the size that RE2 may need for an expression, by an
	// estimate that is never too low. RE2 refuses what exceeds two thirds of
	// its 8 MB (some 87,000 instructions).
	maxProgram = 50_000
)

// safeRegex is an expression that Envoy's RE2 takes. Envoy refuses a route
// configuration as a whole, every neighbour on the port included, if it does
// not take one expression in it, so this has to be certain: what RE2 reads
// otherwise than Go, or may find too large, is refused here.
func safeRegex(expression string) (*matcherv3.RegexMatcher, error) {
	if len(expression) > maxRegex {
		return nil, fmt.Errorf("the regular expression has %d bytes, at most %d are taken", len(expression), maxRegex)
	}
	parsed, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("the regular expression is not valid: %w", err)
	}
	if usesUnicodeClass(expression) {
		return nil, fmt.Errorf(`the regular expression %q uses \p or \P, of which Envoy may know other classes`,
			expression)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("the regular expression is not valid: %w", err)
	}
	if size := programSize(program); size > maxProgram {
		return nil, fmt.Errorf("the regular expression %q is too large: some %d steps, at most %d are taken",
			expression, size, maxProgram)
	}
	return &matcherv3.RegexMatcher{Regex: expression}, nil
}

// usesUnicodeClass looks for \p and \P that are not themselves escaped.
func usesUnicodeClass(expression string) bool {
	for {
		_, after, found := strings.Cut(expression, `\`)
		if !found || after == "" {
			return false
		}
		if after[0] == 'p' || after[0] == 'P' {
			return true
		}
		_, width := utf8.DecodeRuneInString(after)
		expression = after[width:]
	}
}

// programSize estimates RE2's program: Go's has one instruction for a class of
// characters, RE2 needs them for the bytes of every range in it.
func programSize(program *syntax.Prog) int {
	const (
		perRune  = 4      // the bytes of a character
		perRange = 4 * 13 // the most sequences a range falls into, with their bytes
		foldings = 4      // how many characters may be the same in another case
	)
	size := 0
	for i := range program.Inst {
		inst := &program.Inst[i]
		switch inst.Op {
		case syntax.InstRune1:
			size += perRune * foldings
		case syntax.InstRune:
			if len(inst.Rune) == 1 {
				size += perRune * foldings
				continue
			}
			for pair := 0; pair+1 < len(inst.Rune); pair += 2 {
				if inst.Rune[pair+1] < utf8.RuneSelf {
					size++
				} else {
					size += perRange
				}
			}
		case syntax.InstRuneAny, syntax.InstRuneAnyNotNL:
			size += perRange
		default:
			size++
		}
	}
	return size
}
