package tui

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/backendtls/backendtls/plugin/session"
)

// driver runs the root model as bubbletea does, without a terminal: commands run
// in goroutines, their messages are taken one by one. Nothing happens between two
// calls of its methods.
type driver struct {
	t             *testing.T
	app           *app
	messages      chan tea.Msg
	width, height int
	clipboard     string
	quit          bool
	// taken counts messages.
	taken int
}

// drive starts the program for a Service at a size.
func drive(t *testing.T, service Service, width, height int, set ...func(*Config)) *driver {
	t.Helper()
	config := Config{
		Service: service, Scope: session.Scope{Namespace: "shop"}, Source: "context dev",
		Program: "kubectl backendtls", Now: func() time.Time { return noon },
	}
	for _, change := range set {
		change(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d := &driver{t: t, app: newApp(ctx, cancel, config), messages: make(chan tea.Msg, 1024)}
	t.Cleanup(cancel)
	// Who tests is quick of perception.
	d.app.desk.pause = func(context.Context) {}
	d.run(d.app.Init())
	d.resize(width, height)
	return d
}

// run runs a command as bubbletea would.
func (d *driver) run(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	go func() {
		switch msg := cmd().(type) {
		case nil:
		case tea.BatchMsg:
			for _, each := range msg {
				d.run(each)
			}
		default:
			d.messages <- msg
		}
	}()
}

// send gives the model a message.
func (d *driver) send(msg tea.Msg) {
	d.t.Helper()
	switch {
	case reflect.TypeOf(msg).String() == "tea.setClipboardMsg":
		d.clipboard = reflect.ValueOf(msg).String()
		return
	case reflect.TypeOf(msg).String() == "tea.QuitMsg":
		d.quit = true
		return
	}
	d.taken++
	_, cmd := d.app.Update(msg)
	d.run(cmd)
}

func (d *driver) resize(width, height int) {
	d.t.Helper()
	d.width, d.height = width, height
	d.send(tea.WindowSizeMsg{Width: width, Height: height})
}

// press presses keys by their names: "enter", "esc", "tab", "space", "ctrl+c",
// "x". What is longer and no name is typed letter by letter.
func (d *driver) press(keys ...string) {
	d.t.Helper()
	for _, name := range keys {
		if press, ok := named[name]; ok {
			d.send(press)
			continue
		}
		for _, r := range name {
			d.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

var named = map[string]tea.KeyPressMsg{
	"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab},
	"space": {Code: tea.KeySpace, Text: " "}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
	"left": {Code: tea.KeyLeft}, "right": {Code: tea.KeyRight}, "backspace": {Code: tea.KeyBackspace},
	"pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown}, "home": {Code: tea.KeyHome},
	"end": {Code: tea.KeyEnd}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift},
}

// screen is what the terminal shows, without colors and trailing blanks.
func (d *driver) screen() string {
	lines := strings.Split(ansi.Strip(d.app.View().Content), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// until takes messages until the screen shows all of these texts.
func (d *driver) until(texts ...string) {
	d.t.Helper()
	d.await(func() bool {
		shown := d.screen()
		for _, text := range texts {
			if !strings.Contains(shown, text) {
				return false
			}
		}
		return true
	}, strings.Join(texts, ", "))
}

// idle takes messages until the screen on top has nothing under way.
func (d *driver) idle() {
	d.t.Helper()
	d.await(func() bool {
		b, ok := d.app.top().(busy)
		return !ok || b.Busy() == ""
	}, "an end of what is under way")
}

// one takes one message.
func (d *driver) one() {
	d.t.Helper()
	before := d.taken
	d.await(func() bool { return d.taken > before }, "a message")
}

// await takes messages until a condition holds.
func (d *driver) await(condition func() bool, what string) {
	d.t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	// What a condition looks at may change without a message.
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case msg := <-d.messages:
			d.send(msg)
		case <-deadline.C:
			d.t.Fatalf("waited for %s; the screen is\n%s", what, d.screen())
		}
	}
}

// shows says that the screen shows these texts now.
func (d *driver) shows(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if !strings.Contains(d.screen(), text) {
			d.t.Errorf("the screen does not show %q:\n%s", text, d.screen())
		}
	}
}

// hides says that the screen shows none of these texts now.
func (d *driver) hides(texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if strings.Contains(d.screen(), text) {
			d.t.Errorf("the screen shows %q:\n%s", text, d.screen())
		}
	}
}

// golden compares the screen with testdata/NAME.txt, and checks that it is of
// the terminal's size. UPDATE_GOLDEN=1 writes the file.
func (d *driver) golden(name string) {
	d.t.Helper()
	shown := d.screen()
	lines := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
	if len(lines) != d.height {
		d.t.Errorf("%s has %d lines, the terminal %d", name, len(lines), d.height)
	}
	for i, line := range lines {
		if width := ansi.StringWidth(line); width > d.width {
			d.t.Errorf("%s line %d is %d wide, the terminal %d", name, i+1, width, d.width)
		}
	}
	file := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(shown), 0o644); err != nil {
			d.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.t.Fatal(err)
	}
	if shown != string(want) {
		d.t.Errorf("%s (UPDATE_GOLDEN=1 writes it): got\n%s\nwant\n%s", file, shown, want)
	}
}
