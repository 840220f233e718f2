package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"

	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// Config is what the program on the terminal is started with.
type Config struct {
	Service Service
	// Scope is what is shown at first.
	Scope session.Scope
	// ReadOnly offers no action that changes something.
	ReadOnly bool
	// Source is what is read, for the header, until the first State says it.
	Source string
	// Program is how people call this program: "kubectl backendtls".
	Program string
	// In and Out are a terminal.
	In  io.Reader
	Out io.Writer
	// Now is this machine's clock.
	Now func() time.Time
	// Color says whether there may be colors, as decided once for all output.
	Color bool
	// Environ is the environment, as os.Environ returns it.
	Environ []string
}

// Run shows the screens until the person quits or ctx ends; then it returns the
// error of ctx.
func Run(ctx context.Context, config Config) error { return start(ctx, config) }

// start is Run with further options of bubbletea.
func start(ctx context.Context, config Config, further ...tea.ProgramOption) error {
	working, end := context.WithCancel(ctx)
	defer end()
	shown := newApp(working, end, config)
	program := tea.NewProgram(shown, append(options(config), further...)...)
	// With bubbletea's own context it would be killed, and a reader of the terminal
	// left behind: this way it ends as it does by q.
	defer context.AfterFunc(ctx, program.Quit)()
	_, err := program.Run()
	if what := shown.writing(); what != "" {
		return edit.Written(fmt.Errorf("%s was being written when this was ended: whether it is written is not known", what))
	}
	switch {
	case err == nil:
		return context.Cause(ctx)
	case errors.Is(err, tea.ErrProgramPanic):
		return fmt.Errorf("the terminal: %w", err)
	case errors.Is(err, tea.ErrInterrupted):
		return context.Canceled
	default:
		return fmt.Errorf("the terminal: %w", err)
	}
}

// options are bubbletea's. It would read NO_COLOR as a boolean, where any value
// counts: the profile is therefore given to it wherever there are no colors.
func options(config Config) []tea.ProgramOption {
	list := []tea.ProgramOption{
		tea.WithInput(config.In), tea.WithOutput(config.Out), tea.WithEnvironment(config.Environ),
	}
	profile := colorprofile.ASCII
	if config.Color {
		profile = max(colorprofile.Env(config.Environ), colorprofile.ANSI)
	}
	return append(list, tea.WithColorProfile(profile))
}
