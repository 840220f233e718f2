package view

// Style colors words of ours, or leaves them alone.
type Style struct{ color bool }

// NewStyle is a Style that colors or does not.
func NewStyle(color bool) Style { return Style{color: color} }

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
