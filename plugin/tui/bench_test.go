package tui

import (
	"context"
	"slices"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
)

// BenchmarkKeyToFrame is from a key to the text of the next frame, with 1,000
// paths, half of them under a mode: moving the cursor, typing a filter, a second
// of the countdown, and a new state of the world.
func BenchmarkKeyToFrame(b *testing.B) {
	state := many(1000)
	for i := range state.Paths[:500] {
		state.Paths[i] = under(state.Paths[i], "InsecureSkipVerification", time.Duration(i)*time.Minute)
	}
	down, letter := tea.KeyPressMsg{Code: tea.KeyDown}, tea.KeyPressMsg{Code: 's', Text: "s"}
	for name, step := range map[string]func(a *app){
		"cursor": func(a *app) { a.Update(down) },
		"filter": func(a *app) { a.Update(letter) },
		"second": func(a *app) { a.Update(ticked{}) },
		"state":  func(a *app) { a.Update(watched{number: a.watching, state: state}) },
	} {
		b.Run(name, func(b *testing.B) {
			a := benchmarked(b, name == "filter")
			a.Update(watched{number: a.watching, state: state})
			var taken []time.Duration
			for b.Loop() {
				begun := time.Now()
				step(a)
				_ = a.View()
				taken = append(taken, time.Since(begun))
			}
			slices.Sort(taken)
			b.ReportMetric(float64(taken[len(taken)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}

// benchmarked is the program at a usual size, perhaps while a filter is typed.
func benchmarked(b *testing.B, filtering bool) *app {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	a := newApp(ctx, cancel, Config{
		Service: newFake(), Source: "context dev", Now: time.Now, Color: true, Program: "kubectl backendtls",
	})
	a.Init()
	a.Update(tea.WindowSizeMsg{Width: 160, Height: 45})
	if filtering {
		a.Update(tea.KeyPressMsg{Code: '/', Text: "/"})
	}
	return a
}
