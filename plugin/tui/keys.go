package tui

import (
	"slices"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// The keys, by what they do. Every screen answers to some of them, and no two of
// them that a screen answers to share a key.
var (
	keyUp        = bind("up", "up", "up", "k", "ctrl+p")
	keyDown      = bind("down", "down", "down", "j", "ctrl+n")
	keyPageUp    = bind("pgup", "page up", "pgup", "ctrl+b")
	keyPageDown  = bind("pgdn", "page down", "pgdown", "ctrl+f", "space")
	keyHome      = bind("home", "first", "home", "g")
	keyEnd       = bind("end", "last", "end", "G")
	keyOpen      = bind("enter", "open", "enter")
	keyBack      = bind("esc", "back", "esc")
	keyCancel    = bind("esc", "cancel", "esc")
	keyFilter    = bind("/", "filter", "/")
	keyScope     = bind("n", "namespace", "n")
	keyAll       = bind("a", "all namespaces", "a")
	keyOne       = bind("a", "one namespace", "a")
	keyFetch     = bind("f", "fetch", "f")
	keyVerify    = bind("v", "verify", "v")
	keyPin       = bind("p", "pin", "p")
	keyUnpin     = bind("u", "unpin", "u")
	keyRotate    = bind("r", "rotate", "r")
	keySkip      = bind("s", "skip-verify", "s")
	keyCopy      = bind("y", "copy YAML", "y")
	keyWarnings  = bind("w", "warnings", "w")
	keyExplain   = bind("e", "all of the message", "e")
	keyHelp      = bind("?", "help", "?")
	keyQuit      = bind("q", "quit", "q")
	keyInterrupt = bind("ctrl+c", "quit", "ctrl+c")
)

// moving are the keys that move; the help lists them, the footer does not.
var moving = []key.Binding{keyUp, keyDown, keyPageUp, keyPageDown, keyHome, keyEnd}

// moves says whether a binding is one of those.
func moves(binding key.Binding) bool {
	return slices.ContainsFunc(moving, func(each key.Binding) bool { return each.Help() == binding.Help() })
}

// bind names a key in the help, says what it does, and by which keys.
func bind(name, does string, keys ...string) key.Binding {
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(name, does))
}

// pressed says whether a message is one of these keys.
func pressed(msg tea.Msg, bindings ...key.Binding) bool {
	press, ok := msg.(tea.KeyPressMsg)
	return ok && key.Matches(press, bindings...)
}
