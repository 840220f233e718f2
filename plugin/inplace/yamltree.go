package inplace

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// yamlReader finds where the values of a YAML document stand. The parser says
// where each begins; where it ends is found in the text.
type yamlReader struct {
	text []byte
	// lines are the offsets of the lines.
	lines []int
}

func parseYAML(text []byte) (*node, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("reading the document again: %w", err)
	}
	if len(document.Content) != 1 {
		return nil, uneditable("the document is empty")
	}
	reader := yamlReader{text: text, lines: lineStarts(text)}
	return reader.value(document.Content[0], -1)
}

// lineStarts counts lines as the parser does, to which five characters and
// CRLF break a line (YAML 1.1, 4.2).
func lineStarts(text []byte) []int {
	starts := []int{0}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		starts[0] = len("\ufeff")
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		i += size
		switch r {
		case '\r':
			if i < len(text) && text[i] == '\n' {
				i++
			}
			starts = append(starts, i)
		case '\n', '\u0085', '\u2028', '\u2029':
			starts = append(starts, i)
		}
	}
	return starts
}

// offset is where a node begins. Columns count characters from 1.
func (r *yamlReader) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(r.lines) {
		return len(r.text)
	}
	at := r.lines[n.Line-1]
	for range n.Column - 1 {
		if at >= len(r.text) {
			break
		}
		_, size := utf8.DecodeRune(r.text[at:])
		at += size
	}
	return at
}

// value builds the tree below a node; indent is the column of the block
// collection around it.
func (r *yamlReader) value(n *yaml.Node, indent int) (*node, error) {
	built := &node{start: r.offset(n)}
	body := r.pastProperties(built.start)
	switch n.Kind {
	case yaml.AliasNode:
		built.kind, built.end = alias, body+len("*")+len(n.Value)
		return built, nil
	case yaml.MappingNode:
		built.kind = mapping
		return built, r.mapping(built, n, body, indent)
	case yaml.SequenceNode:
		built.kind = sequence
		return built, r.sequence(built, n, body, indent)
	case yaml.ScalarNode:
		end, found := r.scalarEnd(n, built.start, body, indent)
		if !found {
			return nil, uneditable("the end of the value in line %d is not found", n.Line)
		}
		built.end, built.null = end, n.ShortTag() == "!!null"
		built.literal = n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0
		return built, nil
	default:
		return nil, uneditable("line %d holds no value", n.Line)
	}
}

func (r *yamlReader) mapping(built *node, n *yaml.Node, body, indent int) error {
	built.flow = n.Style&yaml.FlowStyle != 0
	if !built.flow && len(n.Content) > 0 {
		built.column = n.Content[0].Column - 1
		indent = built.column
	}
	built.end = body + 1
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		value, err := r.value(n.Content[i+1], indent)
		if err != nil {
			return err
		}
		name := ""
		if key.Kind == yaml.ScalarNode && key.ShortTag() != yaml.MergeTag {
			name = key.Value
		}
		built.entries = append(built.entries, entry{name: name, start: r.offset(key), value: value})
		built.end = value.end
	}
	return r.close(built)
}

func (r *yamlReader) sequence(built *node, n *yaml.Node, body, indent int) error {
	built.flow = n.Style&yaml.FlowStyle != 0
	if !built.flow {
		built.column = n.Column - 1
		indent = max(indent, built.column)
	}
	built.end = body + 1
	for _, item := range n.Content {
		value, err := r.value(item, indent)
		if err != nil {
			return err
		}
		built.items = append(built.items, value)
		built.end = value.end
	}
	return r.close(built)
}

// close finds the closing bracket of a collection in flow style.
func (r *yamlReader) close(built *node) error {
	if !built.flow {
		return nil
	}
	at := r.pastBlank(built.end, ",")
	if at >= len(r.text) || r.text[at] != ']' && r.text[at] != '}' {
		return uneditable("the end of a value in brackets is not found")
	}
	built.end = at + 1
	return nil
}

// pastBlank skips white space, comments and the characters given.
func (r *yamlReader) pastBlank(at int, also string) int {
	for at < len(r.text) {
		switch c := r.text[at]; {
		case strings.IndexByte(" \t\r\n", c) >= 0, strings.IndexByte(also, c) >= 0:
			at++
		case c == '#':
			for at < len(r.text) && r.text[at] != '\n' {
				at++
			}
		default:
			return at
		}
	}
	return at
}

// pastProperties skips an anchor and a tag. No plain scalar begins with either
// character.
func (r *yamlReader) pastProperties(at int) int {
	for at < len(r.text) && (r.text[at] == '&' || r.text[at] == '!') {
		at = r.pastBlank(r.pastWord(at), "")
	}
	return at
}

func (r *yamlReader) pastWord(at int) int {
	end := bytes.IndexAny(r.text[at:], " \t\r\n,[]{}")
	if end < 0 {
		return len(r.text)
	}
	return at + end
}

// scalarEnd finds the end of a scalar whose text begins at body.
func (r *yamlReader) scalarEnd(n *yaml.Node, start, body, indent int) (end int, found bool) {
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return r.quoteEnd(body, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return r.quoteEnd(body, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return r.blockEnd(body, indent), true
	case n.Value == "":
		// Left out; it may still have an anchor or a tag.
		end = start
		for at := start; at < body; at = r.pastBlank(end, "") {
			end = r.pastWord(at)
		}
		return end, true
	default:
		return r.plainEnd(body, n.Value)
	}
}

// quoteEnd is after the closing quote.
func (r *yamlReader) quoteEnd(at int, quote byte) (end int, found bool) {
	if at >= len(r.text) || r.text[at] != quote {
		return 0, false
	}
	for at++; at < len(r.text); at++ {
		switch {
		case r.text[at] == '\\' && quote == '"':
			at++
		case r.text[at] != quote:
		case quote == '\'' && at+1 < len(r.text) && r.text[at+1] == quote:
			at++
		default:
			return at + 1, true
		}
	}
	return 0, false
}

// plainEnd follows the value through the text, in which a blank may be any
// white space: plain scalars are folded.
func (r *yamlReader) plainEnd(at int, value string) (end int, found bool) {
	for i, word := range strings.Fields(value) {
		if i > 0 {
			for at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[at]) >= 0 {
				at++
			}
		}
		if !bytes.HasPrefix(r.text[at:], []byte(word)) {
			return 0, false
		}
		at += len(word)
	}
	return at, true
}

// blockEnd is the start of the line after a literal or folded scalar. Its
// content is what is indented like its first line; blank lines at its end
// belong to it only if the header says so (YAML 1.2, 8.1.1).
func (r *yamlReader) blockEnd(header, indent int) int {
	headerEnd := nextLine(r.text, header)
	word := r.text[header:r.pastWord(header)]
	keep := bytes.IndexByte(word, '+') >= 0
	least := 0
	if i := bytes.IndexAny(word, "123456789"); i >= 0 {
		least = max(indent, 0) + int(word[i]-'0')
	}
	end := headerEnd
	for at := headerEnd; at < len(r.text); {
		after := nextLine(r.text, at)
		line := r.text[at:after]
		depth := len(line) - len(bytes.TrimLeft(line, " "))
		blank := len(bytes.TrimSpace(line)) == 0
		if least == 0 && !blank {
			least = max(depth, indent+1)
		}
		if !blank && depth < least {
			break
		}
		at = after
		if !blank || keep {
			end = after
		}
	}
	return end
}

// nextLine is the start of the line after an offset.
func nextLine(text []byte, at int) int {
	i := bytes.IndexByte(text[at:], '\n')
	if i < 0 {
		return len(text)
	}
	return at + i + 1
}
