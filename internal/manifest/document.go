package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Document is where one document lies in its file. A program that edits one
// document replaces these bytes and leaves all others as they are.
type Document struct {
	// Start and End are byte offsets: the document with its leading --- line.
	Start, End int
	// Line is that of Start, counted from 1.
	Line int
}

// Documents finds the documents of a file, in order, those without content
// included. YAML is split at its --- lines, JSON between its values.
func Documents(data []byte) []Document {
	if documents, ok := jsonDocuments(data); ok {
		return documents
	}
	var documents []Document
	current := Document{Line: 1}
	line := 0
	for start := 0; start < len(data); {
		line++
		end := len(data)
		if i := bytes.IndexByte(data[start:], '\n'); i >= 0 {
			end = start + i + 1
		}
		if isMarker(data[start:end]) && start > 0 {
			current.End = start
			documents = append(documents, current)
			current = Document{Start: start, Line: line}
		}
		start = end
	}
	current.End = len(data)
	return append(documents, current)
}

// isMarker says whether a line starts a document. YAML 1.2 section 9.1.2: such
// a line can be nothing else, not even inside a block of text.
func isMarker(line []byte) bool {
	rest, found := bytes.CutPrefix(line, []byte("---"))
	return found && (len(rest) == 0 || bytes.IndexByte([]byte(" \t\r\n"), rest[0]) >= 0)
}

// fault is an error at a line of the file.
type fault struct {
	line    int
	message string
}

func (f *fault) Error() string { return f.message }

func faultf(line int, format string, args ...any) *fault {
	return &fault{line: line, message: oneLine(fmt.Sprintf(format, args...))}
}

// node reads the document as a tree whose lines count from the file's first.
// A document without content is nil.
func (d Document) node(data []byte) (*yaml.Node, error) {
	chunk := data[d.Start:d.End]
	if text, line := d.afterMarker(chunk); looksLikeJSON(text) {
		root, err := jsonNode(text, line)
		if err == nil {
			return root, nil
		}
		if tooDeep, ok := errors.AsType[*fault](err); ok {
			return nil, tooDeep
		}
		// Flow style YAML begins with a brace too.
	}
	decoder := yaml.NewDecoder(bytes.NewReader(chunk))
	var document yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil //nolint:nilnil // A document without content is no fault.
	case err != nil:
		return nil, d.syntax(err)
	}
	var rest yaml.Node
	switch err := decoder.Decode(&rest); {
	case err == nil:
		return nil, faultf(d.Line+rest.Line-1, "starts another document without a line of ---")
	case !errors.Is(err, io.EOF):
		return nil, d.syntax(err)
	}
	if len(document.Content) == 0 {
		return nil, nil //nolint:nilnil // As above.
	}
	shift(&document, d.Line-1)
	return document.Content[0], nil
}

// afterMarker is the document without a line of --- alone, and where it begins.
func (d Document) afterMarker(chunk []byte) (rest []byte, line int) {
	first, rest, found := bytes.Cut(chunk, []byte("\n"))
	if found && string(bytes.TrimSpace(first)) == "---" {
		return rest, d.Line + 1
	}
	return chunk, d.Line
}

// unknownAnchor is the YAML library's error that holds a part of the file, which
// may be a password that begins with an asterisk.
var unknownAnchor = regexp.MustCompile(`unknown anchor '.*' referenced`)

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax gives the YAML library's error the line within the file.
func (d Document) syntax(err error) *fault {
	message := err.Error()
	match := yamlLine.FindStringSubmatch(message)
	line := d.Line
	if match != nil {
		message = message[len(match[0]):]
		if n, err := strconv.Atoi(match[1]); err == nil {
			line += max(n, 1) - 1
		}
	}
	message = unknownAnchor.ReplaceAllLiteralString(message,
		"an alias has no anchor; put text that begins with * in quotes")
	return faultf(line, "cannot be parsed: %s", message)
}

// shift moves the lines of a tree. Aliases point at nodes of the same tree, so
// following Content alone visits every node once.
func shift(node *yaml.Node, lines int) {
	if lines == 0 {
		return
	}
	node.Line += lines
	for _, child := range node.Content {
		shift(child, lines)
	}
}
