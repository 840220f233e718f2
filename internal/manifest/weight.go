package manifest

// weigh refuses a file that would become too many values. It looks at bytes
// alone: whoever parses first pays a few hundred bytes of memory for each value,
// which may take two bytes to write.
//
// Each value but the first of a document, and each comment, needs an indicator
// of its own (YAML 1.2 sections 5.3 and 7.4: , [ { : - ? #), and none brings more
// than three values: a mapping, its key and its value. Indicators in the midst of
// text are counted too, because only a parser could tell. Encodings of two bytes
// for each character are covered: their zero bytes stand for no character that
// could end an indicator.
func weigh(data []byte) error {
	values, directives, line := 0, 0, 1
	for i, b := range data {
		switch b {
		case '\n':
			line++
		case ',', '[', '{', ':', '?', '#':
			values++
		case '-':
			if i+1 == len(data) || !isPrintable(data[i+1]) {
				values++
			}
		case '%':
			if i == 0 || !isPrintable(data[i-1]) && data[i-1] != ' ' && data[i-1] != '\t' {
				directives++
			}
		}
		if values > MaxValues {
			return faultf(line, "holds more than %d values, all commas, colons and brackets counted; split it", MaxValues)
		}
		if directives > maxDirectives {
			return faultf(line, "holds more than %d lines that begin with %%", maxDirectives)
		}
	}
	return nil
}

// isPrintable says whether a byte is a visible ASCII character.
func isPrintable(b byte) bool { return b > ' ' && b < 0x7f }
