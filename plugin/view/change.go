package view

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Change prints what a verb is about to change, and why, in sections. What
// others wrote is made fit for a terminal here, unless it is of an output kind,
// whose text is.
type Change struct {
	Style Style
	Now   time.Time

	page *page
}

// section is the page, with a line between what it holds and what follows.
func (c *Change) section() *page {
	if c.page == nil {
		c.page = c.Style.page()
	}
	c.page.blank()
	return c.page
}

// Line is a line of a section: a sign, a field and its value.
type Line struct{ Sign, Field, Value string }

// Served says what the endpoints of one port serve: a section for each pin.
// PinOf is the pin by which a certificate goes.
func (c *Change) Served(items []cliv1alpha1.EndpointCertificate, pinOf func(cliv1alpha1.Certificate) string) {
	if len(items) == 0 {
		return
	}
	p := c.section()
	p.line(c.Style.bold(heading(items[0].Service)))
	p.wrapped("  ", 2, fmt.Sprintf("%s asked %s with server name %s",
		plural(len(items), "endpoint"), via(items[0].Via), orNone(items[0].SNI)))
	var pins []string
	members := map[string][]cliv1alpha1.EndpointCertificate{}
	for _, item := range items {
		pin := pinOf(item.Chain[0])
		if members[pin] == nil {
			pins = append(pins, pin)
		}
		members[pin] = append(members[pin], item)
	}
	slices.Sort(pins)
	for _, pin := range pins {
		c.group(pin, members[pin])
	}
}

// group describes the endpoints that serve one pin, and every certificate that
// they serve with it.
func (c *Change) group(pin string, items []cliv1alpha1.EndpointCertificate) {
	label := "KEY"
	if strings.HasPrefix(pin, "cert-") {
		label = "CERTIFICATE"
	}
	p := c.section()
	p.line(c.Style.bold(label), " ", pin, ", ", plural(len(items), "endpoint"))
	var served []string
	endpoints := map[string][]string{}
	for _, item := range items {
		fingerprint := item.Chain[0].CertSHA256
		if endpoints[fingerprint] == nil {
			served = append(served, fingerprint)
		}
		endpoints[fingerprint] = append(endpoints[fingerprint], member(item.Address, item.Pod))
	}
	for _, fingerprint := range served {
		i := slices.IndexFunc(items, func(item cliv1alpha1.EndpointCertificate) bool {
			return item.Chain[0].CertSHA256 == fingerprint
		})
		leaf := items[i].Chain[0]
		subject := orNone(leaf.Subject)
		if leaf.SelfSigned {
			subject += ", self-signed"
		} else {
			subject += ", issued by " + orNone(leaf.Issuer)
		}
		p.wrapped("  ", 2, strings.Join(endpoints[fingerprint], ", "))
		p.rows(4, [][]string{
			{"Subject:", subject},
			{"Names:", orNone(strings.Join(leaf.SANs, ", "))},
			{"Expires:", expiry(leaf.NotAfter.Time, c.Now) + ", on " + leaf.NotAfter.UTC().Format(time.RFC3339)},
		})
	}
}

// KeyChange shows old and new side by side.
func (c *Change) KeyChange(pinned, served []string) {
	p := c.section()
	p.line(c.Style.bad("KEY CHANGE"), ": no endpoint serves what is pinned now")
	for _, side := range [...]struct {
		label string
		pins  []string
	}{{"pinned", pinned}, {"served", served}} {
		for _, pin := range side.pins {
			p.line("  ", side.label, "  ", untrusted.Text(pin))
		}
	}
}

// Section is a title in capitals and the rest of the line, and lines with a
// sign in front.
func (c *Change) Section(title, rest string, lines []Line) {
	p := c.section()
	p.wrapped(c.Style.bold(title)+" ", 2, untrusted.Text(rest))
	table := make([][]string, len(lines))
	for i, line := range lines {
		sign := line.Sign
		switch sign {
		case "+":
			sign = c.Style.good(sign)
		case "-":
			sign = c.Style.bad(sign)
		}
		table[i] = []string{sign + " " + untrusted.Text(line.Field), untrusted.Text(line.Value)}
	}
	p.rows(2, table)
}

// Say is a paragraph.
func (c *Change) Say(format string, args ...any) {
	c.section().wrapped("", 0, untrusted.Text(fmt.Sprintf(format, args...)))
}

// Item is a point under a paragraph.
func (c *Change) Item(text string) { c.page.wrapped("  ", 4, untrusted.Text(text)) }

// Add is a line under a paragraph, unbroken: a command to type.
func (c *Change) Add(line string) { c.page.line("  ", untrusted.Text(line)) }

// Verbatim is a manifest under a paragraph: indented, and else as it is.
func (c *Change) Verbatim(text string) {
	for line := range strings.Lines(untrusted.Lines(text)) {
		c.page.line("  ", strings.TrimRight(line, "\n"))
	}
}

// Print writes the sections, and an empty line that sets them apart from what
// follows.
func (c *Change) Print(w io.Writer) error {
	if c.page == nil {
		return nil
	}
	return c.section().printTo(w)
}
