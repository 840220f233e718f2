package tui

import (
	"charm.land/lipgloss/v2"

	"github.com/backendtls/backendtls/plugin/view"
)

// theme is how things look. What a color says is always said in words as well;
// without colors, bold and reverse remain.
type theme struct {
	title, faint, header   lipgloss.Style
	good, bad, alarm       lipgloss.Style
	cursor, banner, weaker lipgloss.Style
	key                    lipgloss.Style
	// words is for text that package view writes.
	words view.Style
}

// newTheme is the theme for a background, in colors or without.
func newTheme(light, color bool) theme {
	t := theme{
		title:  lipgloss.NewStyle().Bold(true),
		header: lipgloss.NewStyle().Bold(true),
		faint:  lipgloss.NewStyle(),
		good:   lipgloss.NewStyle(),
		bad:    lipgloss.NewStyle().Bold(true),
		alarm:  lipgloss.NewStyle().Bold(true),
		cursor: lipgloss.NewStyle().Reverse(true),
		banner: lipgloss.NewStyle().Bold(true).Reverse(true),
		weaker: lipgloss.NewStyle().Bold(true).Reverse(true),
		key:    lipgloss.NewStyle().Bold(true),
		words:  view.NewStyle(color),
	}
	if !color {
		return t
	}
	if light {
		t.words = t.words.OnLight()
	}
	pick := lipgloss.LightDark(!light)
	white := lipgloss.Color("#ffffff")
	t.faint = t.faint.Foreground(pick(lipgloss.Color("#5f5f5f"), lipgloss.Color("#9e9e9e")))
	t.header = t.header.Foreground(pick(lipgloss.Color("#005f87"), lipgloss.Color("#87d7ff")))
	t.good = t.good.Foreground(pick(lipgloss.Color("#006700"), lipgloss.Color("#5fd75f")))
	t.bad = t.bad.Foreground(pick(lipgloss.Color("#af0000"), lipgloss.Color("#ff6b6b")))
	t.alarm = t.alarm.Foreground(pick(lipgloss.Color("#875f00"), lipgloss.Color("#ffd75f")))
	t.banner = lipgloss.NewStyle().Bold(true).Foreground(white).Background(lipgloss.Color("#af0000"))
	t.weaker = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("#000000")).Background(lipgloss.Color("#ffaf00"))
	return t
}
