package view

import (
	"cmp"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/backendtls/backendtls/plugin/untrusted"
)

// The width that text is wrapped at: more is hard to read, and less would leave
// no room beside the leads.
const (
	widest    = 100
	narrowest = 60
)

// page collects text in sections.
type page struct {
	text    strings.Builder
	columns int
}

// end is the column that text is wrapped at.
func (p *page) end() int { return min(max(cmp.Or(p.columns, widest), narrowest), widest) }

// line writes a line; trailing blanks are cut.
func (p *page) line(parts ...string) {
	p.text.WriteString(strings.TrimRight(strings.Join(parts, ""), " "))
	p.text.WriteByte('\n')
}

// blank separates sections.
func (p *page) blank() {
	if p.text.Len() > 0 {
		p.text.WriteByte('\n')
	}
}

// wrapped writes text after a lead, broken between words so that lines fit, its
// further lines indented by indent blanks.
func (p *page) wrapped(lead string, indent int, text string) {
	line, used := lead, width(lead)
	empty := true
	for word := range strings.FieldsSeq(text) {
		length := width(word)
		if !empty && used+1+length > p.end() {
			p.line(line)
			line, used, empty = strings.Repeat(" ", indent), indent, true
		}
		if !empty {
			line, used = line+" ", used+1
		}
		line, used, empty = line+word, used+length, false
	}
	p.line(line)
}

// Wrapped is a text on lines of so many columns, the further ones indented.
func Wrapped(columns int, text string) string {
	p := page{columns: columns}
	p.wrapped("", 2, untrusted.Text(text))
	return strings.TrimRight(p.text.String(), "\n")
}

// rows writes aligned columns, indented; the last one is wrapped.
func (p *page) rows(indent int, table [][]string) {
	var leads [][]string
	var lasts []string
	for _, row := range table {
		last := len(row) - 1
		leads = append(leads, append(slices.Clone(row[:last]), ""))
		lasts = append(lasts, row[last])
	}
	for i, lead := range aligned(leads) {
		lead = strings.Repeat(" ", indent) + lead
		p.wrapped(lead, width(lead), lasts[i])
	}
}

// aligned joins the cells of each row, every column but the last as wide as its
// widest cell.
func aligned(table [][]string) []string {
	var widths []int
	for _, row := range table {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	lines := make([]string, len(table))
	for n, row := range table {
		last := len(row) - 1
		for i, cell := range row[:last] {
			lines[n] += cell + strings.Repeat(" ", widths[i]-width(cell)+2)
		}
		lines[n] += row[last]
	}
	return lines
}

// block writes lines as they are, indented.
func (p *page) block(indent int, text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.line(strings.Repeat(" ", indent), line)
	}
}

// printTo writes the page.
func (p *page) printTo(w io.Writer) error {
	_, err := io.WriteString(w, p.text.String())
	return err
}

// painted is what Style writes; nothing else has an escape character.
var painted = regexp.MustCompile("\x1b\\[[0-9;]*m")

// width is the number of columns that text takes.
func width(text string) int { return utf8.RuneCountInString(painted.ReplaceAllString(text, "")) }
