// Package tui proves that the screens work at a real terminal: tmux shows them
// and presses the keys, while the demo's operator and Envoy serve what they
// change and curl asks from a second window. The tests need tmux, curl, and the
// Envoy that the environment variable ENVOY names. TUI_KUBECONFIG names a cluster
// with backendtls in it, to tell the same story there; TUI_SNAPSHOTS=1 writes what
// was seen to docs/tui.
package tui
