// Package arch proves the import table of docs/architecture.md on the module as
// the go command sees it: what each room of the core imports itself, what no
// room of the core reaches through any number of steps, and that the two shells
// know nothing of each other. Its tests list the module with `go list`.
package arch
