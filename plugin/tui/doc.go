// Package tui is `kubectl backendtls inspect` on a terminal: a list of paths, the
// details of one, and the steps of every change, as bubbletea models over a
// Service. Update and View do no input or output: what waits is a command with a
// context that ends when its screen is left, and its result carries whom it is
// for. Everything that a stranger wrote is clean before it comes here. Only the
// root model returns a tea.View; screens return text that fits the size they are
// given.
package tui
