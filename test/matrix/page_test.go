package matrix_test

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
)

const refusedByHandshake = outcome("refused: " + verify.KindHandshake)

const intro = `# The verification matrix

What becomes of a connection to a backend, by what its BackendTLSPolicy trusts, the mode, and the certificate that it
presents. Nothing here was written by hand but the explanations: each cell is a policy, resolved and translated by the
operator's own code, and a request through a real Envoy 1.40 to a backend that presents the certificate. What
` + "`kubectl backendtls verify`" + ` says of the same handshake is compared, down to the check that fails, and so is the table in
[policy.md](policy.md#what-is-checked). ` + "`make test`" + ` does it all again and fails if a cell has changed.

| | means |
|---|---|
| ✓ | the connection is made |
| ✗ *check* | Envoy refuses the certificate, and requests get a 503; *check* is the first that fails, in the order below |
| 500 | the policy is refused in this mode; Envoy is told not to try, and requests get a 500 |
| (1) | see the [explanation](#what-may-surprise) of that number |

| check | asks |
|---|---|
`

// words are how the page calls the checks, in the order in which Envoy makes them
// (X509_verify_cert in BoringSSL, then default_validator.cc).
var words = []struct {
	kind       verify.CheckKind
	word, asks string
}{
	{verify.KindHandshake, "handshake", "can the certificate's key be used in a TLS handshake with Envoy at all? No mode leaves " +
		"this out"},
	{verify.KindChain, "issuer", "does a path of signatures lead to what is trusted?"},
	{verify.KindUsage, "use", "do the certificates below the trusted one allow a TLS server?"},
	{verify.KindRevocation, "revocation", "is there a valid revocation list of the issuer, and the certificate not on it?"},
	{verify.KindDates, "dates", "is every certificate of that path valid now?"},
	{verify.KindName, "name", "does the certificate carry the hostname, or one of the subjectAltNames?"},
	{verify.KindLeaf, "pin", "is it one of the pinned or trusted certificates, or has it a pinned key?"},
}

// symbol is how the page shows an outcome.
func (o outcome) symbol() string {
	if o == accepted {
		return "✓"
	}
	if o == invalid {
		return "500"
	}
	for _, word := range words {
		if o == refusedBy(word.kind) {
			return "✗ " + word.word
		}
	}
	return string(o)
}

// page is docs/verification-matrix.md.
func page(columns []trust, rows []*certificate, all []*cell, outcomes map[*cell]outcome) string {
	var text strings.Builder
	text.WriteString(intro)
	for _, word := range words {
		fmt.Fprintf(&text, "| %s | %s |\n", word.word, word.asks)
	}
	fmt.Fprintf(&text, "\n## The certificates\n\nThe policies ask for the hostname `%s`. All are issued by the intermediate of "+
		"the\nCA, which is sent along, for that hostname, valid now, for TLS servers and with a P-256 key, but for what is "+
		"said here.\n\n", host)
	list := [][]string{{"certificate", "is"}}
	for _, row := range rows {
		list = append(list, []string{row.title, row.meaning})
	}
	writeTable(&text, list)
	for i := range columns {
		fmt.Fprintf(&text, "\n## Trusted: %s\n\n%s\n\n", columns[i].title, columns[i].meaning)
		writeTable(&text, table(&columns[i], rows, all, outcomes))
	}
	text.WriteString("\n## What may surprise\n\n")
	for i := range notes {
		writeWrapped(&text, fmt.Sprintf("%2d. ", i+1), notes[i].text)
	}
	return text.String()
}

// writeWrapped writes a paragraph of a list in lines of at most 120 characters.
func writeWrapped(text *strings.Builder, number, paragraph string) {
	const width = 120
	line := number
	for word := range strings.FieldsSeq(paragraph) {
		if len(line)+len(word) > width {
			text.WriteString(strings.TrimRight(line, " ") + "\n")
			line = strings.Repeat(" ", len(number))
		}
		line += word + " "
	}
	text.WriteString(strings.TrimRight(line, " ") + "\n")
}

// table is the cells of one trust.
func table(of *trust, rows []*certificate, all []*cell, outcomes map[*cell]outcome) [][]string {
	head := []string{"certificate"}
	for _, mode := range model.Modes {
		head = append(head, string(mode))
	}
	lines := [][]string{head}
	for _, row := range rows {
		line := []string{row.title}
		for _, c := range all {
			if c.trust == of && c.certificate == row {
				line = append(line, outcomes[c].symbol()+numbers(c, outcomes[c]))
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// numbers are those of the notes on a cell.
func numbers(c *cell, got outcome) string {
	var text strings.Builder
	for i := range notes {
		if notes[i].applies(c, got) {
			fmt.Fprintf(&text, " (%d)", i+1)
		}
	}
	return text.String()
}

// writeTable writes a table that also reads well where it is not rendered.
func writeTable(text *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, field := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(field))
		}
	}
	// The last column of prose needs no padding.
	padded := len(widths)
	if padded == 2 {
		padded = 1
	}
	rule := make([]string, len(widths))
	for i := range rule {
		rule[i] = "---"
		if i < padded {
			rule[i] = strings.Repeat("-", widths[i])
		}
	}
	for _, line := range slices.Insert(slices.Clone(lines), 1, rule) {
		for i, field := range line {
			text.WriteString("| " + field)
			if i < padded {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(field)))
			}
			text.WriteString(" ")
		}
		text.WriteString("|\n")
	}
}
