package resolve

import (
	"strings"
	"testing"
)

// TestAnExpressionWeighsWhatEnvoyMayComeToKeepForIt. The figures of a real Envoy are
// those of its allocator, after texts of all kinds.
func TestAnExpressionWeighsWhatEnvoyMayComeToKeepForIt(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		pattern     string
		least, most int
	}{
		// What people write stays small.
		{`/v[0-9]+/.*`, 3_900, 16 * kib},
		{`^/(a|b|c)/[^/]+$`, 3_500, 16 * kib},
		{`/[^/]+/Method`, 3_500, 16 * kib},
		{`.*foo.*`, 3_600, 16 * kib},
		{`.*\bfoo\b.*`, 3_900, 16 * kib},
		{`[a-z0-9-]{1,63}`, 21_300, 64 * kib},
		{`/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/.*`, 12_300, 64 * kib},
		{`(.*?)(;\s*)?session=[0-9a-f]{32}(;.*)?`, 16_200, 64 * kib},
		{`/api/v[1-3]/(users|orders|items)(/[0-9]+)?(\?.*)?`, 8 * kib, 64 * kib},
		{`.*(googlebot|bingbot|slurp|duckduckbot|baiduspider|yandexbot).*`, 28_900, 128 * kib},
		{`(?i).*(iphone|android|mobile|ipad|windows phone|opera mini|kindle).*`, 22_600, 256 * kib},
		{`(a|b)*a(a|b){6}`, 40_700, 128 * kib},
		{`.{1,255}`, 63_500, 512 * kib},
		{strings.Repeat(`[^x]`, 240), 90_000, 512 * kib},
		// What has states without number counts as if it had them all.
		{`(a|b)*a(a|b){13}`, fullPattern, fullPattern},
		{`.*foo.{20}bar.*`, fullPattern, fullPattern},
		{`.*(?:é|a).{20}`, fullPattern, fullPattern},
		{strings.Repeat(`.?`, 240), fullPattern, fullPattern},
	} {
		work := namespacePatternWork
		if got := patternMemory(c.pattern, &work); got < c.least || got > c.most {
			t.Errorf("%.80s weighs %d bytes, want %d to %d", c.pattern, got, c.least, c.most)
		}
		if spent := namespacePatternWork - work; spent <= 0 || spent > patternWork+patternWork/4 {
			t.Errorf("%.80s took %d steps", c.pattern, spent)
		}
	}
}

// TestStatesAreThoseOfBytesNotOfCharacters: what stands within a character is a
// state too, and Envoy remembers what an expression asks about, such as the kind of
// the character before.
func TestStatesAreThoseOfBytesNotOfCharacters(t *testing.T) {
	for _, c := range []struct {
		pattern string
		states  int
	}{
		{`ab`, 4},               // After "", a, ab, and whatever comes behind that.
		{`é`, 4},                // The same, of its two bytes.
		{`[é-ê]`, 4},            // One sequence of bytes.
		{`[a€]`, 5},             // After "", E2, E2 82; one end, and behind it.
		{`(?i)k`, 5},            // The Kelvin sign has three bytes.
		{`.`, 6},                // Three states within a character.
		{`^[a-]*`, 3},           // Where a whole text has to match, these say nothing.
		{`(?:x^|a)b`, 5},        // After "", x, a and ab, and behind that.
		{`a*`, 3},               // After "", a, and more: then the text before matched.
		{`(a|b)*a(a|b)`, 2 + 8}, // Four by the last two, each after a match and after none.
	} {
		work := patternWork
		graph, err := newByteGraph(c.pattern, &work)
		if err != nil {
			t.Fatal(err)
		}
		s := newStateSearch(graph, work)
		s.search()
		if len(s.known) != c.states {
			t.Errorf("%s has %d states, want %d", c.pattern, len(s.known), c.states)
		}
	}
}

// TestAnExpressionThatNobodyHasTimeForCountsInFull.
func TestAnExpressionThatNobodyHasTimeForCountsInFull(t *testing.T) {
	for _, work := range []int{0, 10, 500} {
		if got := patternMemory(`/v[0-9]+/.*`, &work); got != fullPattern || work > 0 {
			t.Errorf("%d bytes, and %d steps are left", got, work)
		}
	}
}

// FuzzPatternMemory: whatever checkPattern takes is weighed, in bounded time.
func FuzzPatternMemory(f *testing.F) {
	for _, pattern := range []string{
		`/v[0-9]+/.*`, `(?i)^.*(k|[^\x{d7ff}-\x{e000}]|$)\b`, endless, `(?:.?){470}`, `$^`, `|`, `[^\x00-\x{10FFFF}]`, `\B(?s:.)\z`,
	} {
		f.Add(pattern)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if _, err := checkPattern(pattern); err != nil {
			return
		}
		work := patternWork
		size := patternMemory(pattern, &work)
		if size <= patternBase || size > fullPattern {
			t.Errorf("%q weighs %d bytes", pattern, size)
		}
		if work < -patternWork {
			t.Errorf("%q took %d steps more than it may", pattern, -work)
		}
	})
}
