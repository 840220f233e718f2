package inplace

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// style is how the author of an object writes block YAML.
type style struct {
	// step is how much deeper a mapping in a mapping is.
	step int
	// dash is how much deeper a list in a mapping is.
	dash int
}

// style is that of what the object has, best near the mapping.
func (s *splicer) style(holder *node) style {
	found := style{step: 2}
	s.root.habits(&found)
	for _, e := range holder.entries {
		if e.value.kind == mapping && !e.value.flow && !e.value.bare() {
			found.step = e.value.column - holder.column
			break
		}
	}
	return found
}

// habits looks for a nested mapping and a list, the first of each.
func (n *node) habits(found *style) {
	var step, dash bool
	n.walk(func(holder, child *node) {
		switch {
		case child.flow || holder.flow:
		case child.kind == mapping && !child.bare() && !step:
			step, found.step = true, child.column-holder.column
		case child.kind == sequence && len(child.items) > 0 && !dash:
			dash, found.dash = true, child.column-holder.column
		}
	})
}

// walk visits every value of every mapping below.
func (n *node) walk(visit func(holder, child *node)) {
	for _, e := range n.entries {
		visit(n, e.value)
		e.value.walk(visit)
	}
	for _, item := range n.items {
		item.walk(visit)
	}
}

// entry is the lines of an entry, the first one with its key.
func (y style) entry(name string, value Value) []string {
	head, lines := y.value(value, 0)
	first := plainOrQuoted(name, 0) + ":"
	if head != "" {
		first += " " + head
	}
	return append([]string{first}, lines...)
}

// value is what stands behind the key, and the lines below it, indented from
// the key's column. Quote is the author's, 0 for none.
func (y style) value(value Value, quote byte) (head string, lines []string) {
	switch value := value.(type) {
	case Text:
		if text := string(value); literal(text) {
			return "|", indented(y.step, strings.Split(strings.TrimSuffix(text, "\n"), "\n"))
		}
		return plainOrQuoted(string(value), quote), nil
	case Words:
		if len(value) > 1 && folds(value) {
			return ">-", indented(y.step, value)
		}
		return plainOrQuoted(strings.Join(value, " "), quote), nil
	case Objects:
		for _, object := range value {
			lead := strings.Repeat(" ", y.dash) + "- "
			for _, field := range object {
				lines = append(lines, lead+plainOrQuoted(field.Name, 0)+": "+plainOrQuoted(field.Text, 0))
				lead = strings.Repeat(" ", y.dash+len("- "))
			}
		}
		return "", lines
	case nested:
		return "", indented(y.step, y.entry(value.name, value.value))
	default:
		return "", nil
	}
}

func indented(by int, lines []string) []string {
	deeper := make([]string, len(lines))
	for i, line := range lines {
		deeper[i] = strings.TrimRight(strings.Repeat(" ", by)+line, " ")
	}
	return deeper
}

var (
	// word is text that is a string in every version of YAML, and needs no
	// quotes: it holds no blank, and nothing that could end it.
	word = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./+=@-]*(:[A-Za-z0-9_./+=@-]+)*$`)
	// line is a line of a literal scalar that nobody could misread.
	line = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)
)

// reserved are words that YAML 1.1 or 1.2 reads as something else.
var reserved = map[string]bool{
	"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true,
}

// plainOrQuoted writes a string on one line: in the author's quotes, in none
// where it needs none, else in double quotes.
func plainOrQuoted(text string, quote byte) string {
	switch {
	case quote == '\'' && !strings.ContainsFunc(text, unprintable) && !strings.HasSuffix(text, "\\"):
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case quote == 0 && word.MatchString(text) && !reserved[strings.ToLower(text)]:
		return text
	default:
		// Every escape of Go's is one of YAML's, and means the same.
		return strconv.Quote(text)
	}
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// literal says whether text is written as lines of a literal scalar: several,
// each ended, each beginning with something visible.
func literal(text string) bool {
	body, ended := strings.CutSuffix(text, "\n")
	if !ended {
		return false
	}
	for each := range strings.SplitSeq(body, "\n") {
		if !line.MatchString(each) {
			return false
		}
	}
	return true
}

// folds says whether words survive being written on a line each.
func folds(words Words) bool {
	for _, each := range words {
		if !word.MatchString(each) {
			return false
		}
	}
	return true
}

// quoteOf is the quote that a scalar stands in, 0 for none.
func quoteOf(text []byte, value *node) byte {
	if value.kind == scalar && value.start < value.end && (text[value.start] == '"' || text[value.start] == '\'') {
		return text[value.start]
	}
	return 0
}

// flowKey is a key in a mapping in flow style.
func (s *splicer) flowKey(name string, holder *node) string {
	if s.json || quoteOf(s.text, &node{start: holder.entries[0].start, end: len(s.text)}) == '"' {
		return encodeJSON(name)
	}
	return plainOrQuoted(name, 0)
}

// flowText is a value in flow style. Of JSON that is spread over lines, what is
// added is too; near is an entry beside it.
func (s *splicer) flowText(value Value, near int) string {
	if !s.json {
		return flowYAML(value)
	}
	compact := encodeJSON(value.plain())
	if !s.begins(near) {
		return compact
	}
	margin := string(s.text[s.lineStart(near):near])
	var spread bytes.Buffer
	if err := json.Indent(&spread, []byte(compact), margin, s.jsonStep()); err != nil {
		return compact // It is what was encoded above.
	}
	return strings.ReplaceAll(spread.String(), "\n", s.eol)
}

// jsonStep is how much deeper each level of JSON is.
func (s *splicer) jsonStep() string {
	step := "  "
	found := false
	s.root.walk(func(holder, child *node) {
		if found || child.kind != mapping || child.bare() || !s.begins(child.entries[0].start) {
			return
		}
		outer, inner := s.margin(holder.entries[0].start), s.margin(child.entries[0].start)
		if deeper, deep := strings.CutPrefix(inner, outer); deep && deeper != "" {
			step, found = deeper, true
		}
	})
	return step
}

func (s *splicer) margin(at int) string {
	text := s.text[s.lineStart(at):at]
	return string(text[:len(text)-len(bytes.TrimLeft(text, " \t"))])
}

func flowYAML(value Value) string {
	switch value := value.(type) {
	case Objects:
		objects := make([]string, len(value))
		for i, object := range value {
			fields := make([]string, len(object))
			for j, field := range object {
				fields[j] = plainOrQuoted(field.Name, 0) + ": " + plainOrQuoted(field.Text, '"')
			}
			objects[i] = "{" + strings.Join(fields, ", ") + "}"
		}
		return "[" + strings.Join(objects, ", ") + "]"
	case nested:
		return "{" + plainOrQuoted(value.name, 0) + ": " + flowYAML(value.value) + "}"
	case Words:
		return strconv.Quote(strings.Join(value, " "))
	case Text:
		return strconv.Quote(string(value))
	default:
		return "null"
	}
}

func encodeJSON(value any) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "null" // Strings, lists and maps of them always encode.
	}
	return strings.TrimSuffix(b.String(), "\n")
}
