package tui

import (
	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// list is the paths.
type list struct{ desk *desk }

func newList(d *desk) *list { return &list{desk: d} }

// Init does nothing: the root watches.
func (*list) Init() tea.Cmd { return nil }

// Update moves the cursor.
func (l *list) Update(tea.Msg) (screen, tea.Cmd) { return l, nil }

// View is the table.
func (l *list) View(int, int) string { return "" }

// Title is where one is.
func (*list) Title() string { return "paths" }

// Keys are those of the list.
func (*list) Keys() []key.Binding { return []key.Binding{keyOpen, keyFilter, keyScope, keyAll} }

// Typing says whether the filter is being typed.
func (*list) Typing() bool { return false }

// Leave ends nothing.
func (*list) Leave() {}
