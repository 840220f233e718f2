package inplace

import (
	"bytes"
	"slices"
	"strings"
)

// splicer makes one change in a text.
type splicer struct {
	text []byte
	json bool
	// root is the object that is changed: its author's habits are followed.
	root *node
	eol  string
}

// lineEnd is how the text ends its lines.
func lineEnd(text []byte) string {
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// splice replaces a range.
func (s *splicer) splice(start, end int, with string) []byte {
	return slices.Concat(s.text[:start], []byte(with), s.text[end:])
}

func (s *splicer) lineStart(at int) int { return bytes.LastIndexByte(s.text[:at], '\n') + 1 }

// lineAfter is the start of the line after a value. A literal scalar ends there
// by itself.
func (s *splicer) lineAfter(value *node) int {
	if value.end > value.start && s.text[value.end-1] == '\n' {
		return value.end
	}
	return nextLine(s.text, value.end)
}

// begins says whether an offset is the first on its line.
func (s *splicer) begins(at int) bool {
	return len(bytes.TrimLeft(s.text[s.lineStart(at):at], " \t")) == 0
}

// ends says whether nothing but a comment follows on the line.
func (s *splicer) ends(at int) bool {
	rest := bytes.TrimSpace(s.text[at:nextLine(s.text, at)])
	return len(rest) == 0 || rest[0] == '#'
}

// insertLines puts whole lines at the start of a line, or at the end of the
// text, which then ends as it did.
func (s *splicer) insertLines(at int, lines []string) []byte {
	block := strings.Join(lines, s.eol)
	if at == len(s.text) && at > 0 && s.text[at-1] != '\n' {
		return s.splice(at, at, s.eol+block)
	}
	return s.splice(at, at, block+s.eol)
}

// set writes an entry of a mapping.
func (s *splicer) set(holder *node, name string, value Value) ([]byte, error) {
	old := holder.entry(name)
	switch {
	case old != nil && holder.flow:
		return s.replaceInFlow(old, value), nil
	case old != nil:
		return s.replaceInBlock(holder, old, value), nil
	case holder.bare():
		return nil, uneditable("the mapping for %s is empty", name)
	case holder.flow:
		return s.addToFlow(holder, name, value), nil
	default:
		return s.addToBlock(holder, indented(holder.column, s.style(holder).entry(name, value))), nil
	}
}

// addToBlock adds the lines of an entry behind the last one; before it, if that
// is a literal scalar at the end of a text that does not end its last line: to
// end it would change it.
func (s *splicer) addToBlock(holder *node, lines []string) []byte {
	last := holder.entries[len(holder.entries)-1]
	at := s.lineAfter(last.value)
	if last.value.literal && at == len(s.text) && s.text[at-1] != '\n' && s.begins(last.start) {
		at = s.lineStart(last.start)
	}
	return s.insertLines(at, lines)
}

func (s *splicer) replaceInFlow(old *entry, value Value) []byte {
	text := s.flowText(value, old.start)
	if start := old.value.start; start == old.value.end && strings.IndexByte(" \t", s.text[start-1]) < 0 {
		text = " " + text
	}
	return s.splice(old.value.start, old.value.end, text)
}

// addToFlow adds an entry behind the last one, on a line of its own where that
// one has.
func (s *splicer) addToFlow(holder *node, name string, value Value) []byte {
	last := holder.entries[len(holder.entries)-1]
	text := s.flowKey(name, holder) + ": " + s.flowText(value, last.start)
	if s.compact(holder) {
		text = strings.Replace(text, ": ", ":", 1)
	}
	separator := ", "
	switch {
	case s.begins(last.start):
		separator = "," + s.eol + string(s.text[s.lineStart(last.start):last.start])
	case s.compact(holder):
		separator = ","
	}
	return s.splice(last.value.end, last.value.end, separator+text)
}

// compact says whether a mapping is JSON without blanks.
func (s *splicer) compact(holder *node) bool {
	return s.json && !bytes.ContainsAny(s.text[holder.start:holder.entries[0].value.start], " \t\r\n")
}

// replaceInBlock writes another value for an entry of a block mapping. Comments
// on lines of their own stay.
func (s *splicer) replaceInBlock(holder *node, old *entry, value Value) []byte {
	head, lines := s.style(holder).value(value, quoteOf(s.text, old.value))
	lines = indented(holder.column, lines)
	from, to, end := old.value.start, old.value.end, s.lineAfter(old.value)
	line := nextLine(s.text, old.start)
	if old.value.kind != scalar && !old.value.flow && old.value.kind != alias {
		// The collection begins below: what goes is its lines, but not what
		// stands behind the key.
		lines = append(s.comments(*old), lines...)
		from = min(from, line)
		return slices.Concat(s.beforeLine(from, line), []byte(strings.Join(lines, s.eol)),
			s.ending(end), s.text[end:])
	}
	if head == "" {
		// Nothing is left on the line, nor the blank before it.
		for from > 0 && s.text[from-1] == ' ' {
			from--
		}
	} else if from == to && s.text[from-1] == ':' {
		head = " " + head
	}
	rest := string(s.text[to:end])
	if to == end {
		rest = string(s.ending(end))
	}
	if len(lines) == 0 {
		return s.splice(from, end, head+rest)
	}
	if !strings.HasSuffix(rest, "\n") {
		return s.splice(from, end, head+rest+s.eol+strings.Join(lines, s.eol))
	}
	return s.splice(from, end, head+rest+strings.Join(lines, s.eol)+string(s.ending(end)))
}

// beforeLine is the text up to the line, without what stands on it from an
// offset on: the anchor or tag of a collection that goes.
func (s *splicer) beforeLine(from, line int) []byte {
	if from >= line {
		return slices.Clone(s.text[:line])
	}
	return slices.Concat(bytes.TrimRight(s.text[:from], " "), []byte(s.eol))
}

// ending is the line end before an offset, none at the end of a text that does
// not end its last line.
func (s *splicer) ending(at int) []byte {
	if at > 0 && s.text[at-1] == '\n' {
		return []byte(s.eol)
	}
	return nil
}

// comments are the lines below the key of an entry that are only a comment.
func (s *splicer) comments(e entry) []string {
	var lines []string
	for at, end := nextLine(s.text, e.start), s.lineAfter(e.value); at < end; {
		after := nextLine(s.text, at)
		line := s.text[at:after]
		first := at + len(line) - len(bytes.TrimLeft(line, " \t"))
		if first < after && s.text[first] == '#' && !e.value.covers(first) {
			lines = append(lines, strings.TrimRight(string(line), "\r\n"))
		}
		at = after
	}
	return lines
}

// covers says whether an offset is within a scalar.
func (n *node) covers(at int) bool {
	covered := false
	n.leaves(func(leaf *node) { covered = covered || leaf.start <= at && at < leaf.end })
	return covered
}

// remove takes an entry out of a mapping.
func (s *splicer) remove(holder *node, name string) ([]byte, error) {
	i := slices.IndexFunc(holder.entries, func(e entry) bool { return e.name == name })
	gone := holder.entries[i]
	if holder.flow {
		return s.removeFromFlow(holder, i), nil
	}
	if !s.begins(gone.start) || len(holder.entries) == 1 {
		return nil, uneditable("%s does not stand on lines of its own", name)
	}
	if i > 0 && holder.entries[i-1].value.last().literal {
		return s.removeBelowLiteral(gone, holder.column), nil
	}
	return s.removeLines(gone.start, s.lineAfter(gone.value), s.comments(gone)), nil
}

// removeLines removes whole lines and puts others there.
func (s *splicer) removeLines(start, end int, kept []string) []byte {
	var block strings.Builder
	for _, line := range kept {
		block.WriteString(line + s.eol)
	}
	return s.splice(s.lineStart(start), end, block.String())
}

// removeBelowLiteral removes an entry so that the literal scalar above does not
// take in what stood below: no comment that is indented like its text, and no
// blank line, which may count.
func (s *splicer) removeBelowLiteral(gone entry, column int) []byte {
	comments := s.comments(gone)
	for i, comment := range comments {
		text := strings.TrimLeft(comment, " \t")
		comments[i] = comment[:min(column, len(comment)-len(text))] + text
	}
	end := s.lineAfter(gone.value)
	for end < len(s.text) && len(bytes.TrimSpace(s.text[end:nextLine(s.text, end)])) == 0 {
		end = nextLine(s.text, end)
	}
	return s.removeLines(gone.start, end, comments)
}

// removeFromFlow removes an entry and the comma that sets it apart. Comments
// stay, also those between brackets.
func (s *splicer) removeFromFlow(holder *node, i int) []byte {
	reader := yamlReader{text: s.text}
	gone := holder.entries[i]
	last := i == len(holder.entries)-1
	after := gone.value.end
	if comma := reader.pastBlank(after, ""); s.text[comma] == ',' {
		after = comma + 1
	}
	without := splicer{}
	switch {
	case s.begins(gone.start) && s.ends(after):
		without.text = s.removeLines(gone.start, nextLine(s.text, after), s.comments(gone))
	case last || s.ends(after):
		without.text = s.splice(gone.start, after, "")
	default:
		return s.splice(gone.start, holder.entries[i+1].start, "")
	}
	if !last || i == 0 {
		return without.text
	}
	// The comma that set it apart from the one before it.
	before := holder.entries[i-1].value.end
	comma := reader.pastBlank(before, "")
	if len(bytes.TrimSpace(s.text[comma+1:gone.start])) == 0 && !s.begins(gone.start) {
		return without.splice(before, gone.start, "")
	}
	return without.splice(comma, comma+1, "")
}
