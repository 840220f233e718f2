package view

// Style colors words of ours, or leaves them alone, and knows how wide text may
// become.
type Style struct {
	color   bool
	columns int
}

// NewStyle is a Style that colors or does not.
func NewStyle(color bool) Style { return Style{color: color} }

// Within is the Style for text of so many columns; 0 stands for as many as are
// good to read, which are also the most.
func (s Style) Within(terminal int) Style {
	s.columns = terminal
	return s
}

// page is an empty page of that width.
func (s Style) page() *page { return &page{columns: s.columns} }

func (s Style) paint(code, text string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s Style) bold(text string) string  { return s.paint("1", text) }
func (s Style) good(text string) string  { return s.paint("32", text) }
func (s Style) bad(text string) string   { return s.paint("1;31", text) }
func (s Style) alarm(text string) string { return s.paint("1;33", text) }
