package verify

import (
	"fmt"
	"strings"
	"time"
)

const (
	// maxListed bounds how many items of a list a message names.
	maxListed = 4
	// maxQuoted bounds how much of a peer's text a message repeats, in bytes.
	maxQuoted = 200
)

// title is how messages name a certificate: its quoted subject, or its serial
// number where the subject is empty.
func (c *certificate) title() string {
	if subject := c.Subject.String(); subject != "" {
		return quoteName(subject)
	}
	return quoteName("serial " + c.SerialNumber.String())
}

// quoteName quotes text that a peer chose, cut to a bearable length.
func quoteName(text string) string {
	if len(text) > maxQuoted {
		return fmt.Sprintf("%q...", text[:maxQuoted])
	}
	return fmt.Sprintf("%q", text)
}

func listTitles(certs []*certificate) string {
	titles := make([]string, 0, maxListed)
	for _, cert := range certs[:min(len(certs), maxListed)] {
		titles = append(titles, cert.title())
	}
	return listAtMost(titles, len(certs))
}

// listSome names the first items and counts the rest.
func listSome(items []string) string {
	return listAtMost(items[:min(len(items), maxListed)], len(items))
}

// listAtMost joins the items that are shown of total ones.
func listAtMost(shown []string, total int) string {
	text := strings.Join(shown, ", ")
	if rest := total - len(shown); rest > 0 {
		return fmt.Sprintf("%s and %d more", text, rest)
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
