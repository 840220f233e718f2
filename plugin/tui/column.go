package tui

import (
	"strings"
)

// column is a column of a table that fits its width: it is first said in brief,
// then made narrower, then left out.
type column struct {
	title string
	// least is the width below which it is of no use; a column that cannot be made
	// narrower has none.
	least int
	// spare is the order in which columns are left out, 1 first; 0 is never.
	spare int
	// reserve is a width that is kept even if nothing needs it now.
	reserve int
	// hidden columns are not there at all.
	hidden bool
}

// cell is a text and its brief form, "" for none.
type cell struct{ text, brief string }

// table is columns, rows, and the width of each column.
type table struct {
	columns []column
	rows    [][]cell
	widths  []int
	brief   bool
}

// gap is between two columns.
const gap = 2

// newTable fits columns and rows into a width. The widths are those of all rows,
// not only of those that are seen, so that nothing moves when one scrolls.
func newTable(columns []column, rows [][]cell, width int) table {
	t := table{columns: columns, rows: rows}
	t.measure()
	if t.total() <= width {
		return t
	}
	t.brief = true
	t.measure()
	for spare := 1; ; spare++ {
		if t.narrow(width) {
			return t
		}
		if spare > len(columns) {
			return t
		}
		for i, c := range columns {
			if c.spare == spare {
				t.widths[i] = 0
			}
		}
	}
}

// measure makes every column as wide as its widest cell.
func (t *table) measure() {
	t.widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		if c.hidden {
			continue
		}
		t.widths[i] = max(len(c.title), c.reserve)
		for _, row := range t.rows {
			t.widths[i] = max(t.widths[i], columnsOf(t.text(row[i])))
		}
	}
}

func (t *table) text(c cell) string {
	if t.brief && c.brief != "" {
		return c.brief
	}
	return c.text
}

func (t *table) total() int {
	total := -gap
	for _, width := range t.widths {
		if width > 0 {
			total += width + gap
		}
	}
	return total
}

// narrow takes from the widest of the columns that can be narrower until all fit,
// and says whether they do; where they cannot, it changes nothing.
func (t *table) narrow(width int) bool {
	excess := t.total() - width
	possible := 0
	for i, c := range t.columns {
		if c.least > 0 && t.widths[i] > c.least {
			possible += t.widths[i] - c.least
		}
	}
	if excess > possible {
		return false
	}
	for ; excess > 0; excess-- {
		widest := -1
		for i, c := range t.columns {
			if c.least > 0 && t.widths[i] > c.least && (widest < 0 || t.widths[i] > t.widths[widest]) {
				widest = i
			}
		}
		t.widths[widest]--
	}
	return true
}

// header is the titles.
func (t *table) header() string {
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	return t.line(titles)
}

// row is a row, each cell painted after it was fitted.
func (t *table) row(n int, paint func(column int, text string) string) string {
	cells := make([]string, len(t.columns))
	for i, c := range t.rows[n] {
		cells[i] = t.text(c)
	}
	for i, width := range t.widths {
		if width > 0 {
			cells[i] = paint(i, fit(cells[i], width))
		}
	}
	return t.line(cells)
}

func (t *table) line(cells []string) string {
	var parts []string
	for i, width := range t.widths {
		if width > 0 {
			parts = append(parts, fit(cells[i], width))
		}
	}
	return strings.Join(parts, strings.Repeat(" ", gap))
}
