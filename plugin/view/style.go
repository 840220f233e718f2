package view

// Style colors words of ours, or leaves them alone, and knows how wide text may
// become.
type Style struct {
	color   bool
	light   bool
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

// OnLight is the Style for a light background, on which the usual colors of a
// terminal are hard to read.
func (s Style) OnLight() Style {
	s.light = true
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

// shade paints in the color for the background: 4-bit on a dark one, of the
// 256 on a light one.
func (s Style) shade(dark, light, text string) string {
	if s.light {
		return s.paint(light, text)
	}
	return s.paint(dark, text)
}

func (s Style) bold(text string) string  { return s.paint("1", text) }
func (s Style) good(text string) string  { return s.shade("32", "38;5;22", text) }
func (s Style) bad(text string) string   { return s.shade("1;31", "1;38;5;124", text) }
func (s Style) alarm(text string) string { return s.shade("1;33", "1;38;5;94", text) }
