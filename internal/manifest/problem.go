package manifest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Class says what a Problem makes unusable.
type Class string

// The classes of problems.
const (
	// Unparsable: the file as a whole; nothing in it is used.
	Unparsable Class = "Unparsable"
	// Invalid: one object, by its schema, a CEL rule or strict decoding.
	Invalid Class = "Invalid"
	// Duplicate: one object that is given more than once.
	Duplicate Class = "Duplicate"
)

// Problem is what is wrong at one place.
type Problem struct {
	File string
	// Line counts from 1; 0 where the fault is the file itself.
	Line  int
	Class Class
	// Object is what the problem concerns; the zero Key if it is not known.
	Object gwapi.Key
	// Message says what is wrong, without file and line.
	Message string
}

// Place is FILE:LINE, or FILE without a line.
func (p Problem) Place() string { return place(p.File, p.Line) }

// String is FILE:LINE: OBJECT: MESSAGE.
func (p Problem) String() string {
	if p.Object.IsZero() {
		return p.Place() + ": " + p.Message
	}
	return p.Place() + ": " + p.Object.String() + ": " + p.Message
}

// Error makes a Problem an error, for readers that stop at the first one.
func (p Problem) Error() string { return p.String() }

func place(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
}
