package command

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/rest"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/tui"
)

// textFlags are those of inspect that only text knows: whoever gives one of them
// does not get the screens.
var textFlags = []string{"output", "watch", "selector", "probe", "no-probe", "sni", "address"}

// wantsScreens says whether a command line means the screens and not text: it
// names nothing and no form of output, and a person is there to look at them. It
// is decided here and nowhere else.
func (o *Options) wantsScreens(args []string, flags *pflag.FlagSet) bool {
	return len(args) == 0 && !slices.ContainsFunc(textFlags, flags.Changed) &&
		printers.IsTerminal(o.In) && printers.IsTerminal(o.Out) && os.Getenv("TERM") != "dumb"
}

// Root is what the program does without a verb: the screens at a terminal, else
// the help.
func (o *Options) Root(ctx context.Context, cmd *cobra.Command, args []string) error {
	if !o.wantsScreens(args, cmd.Flags()) {
		return cmd.Help()
	}
	return o.screens(ctx, screens{timeout: defaultProbeTimeout})
}

// screens are how the screens are begun.
type screens struct {
	all, readOnly bool
	via           string
	timeout       time.Duration
}

// screens shows them until the person leaves.
func (o *Options) screens(ctx context.Context, how screens) error {
	if err := o.placeable(); err != nil {
		return err
	}
	if err := o.reachable(ctx); err != nil {
		return err
	}
	sitting := o.sitting(how)
	source := o.Filename
	if o.Filename == "" {
		source = o.API.Name()
		restore := o.API.WarnTo(func(format string, args ...any) { sitting.Notice(fmt.Sprintf(format, args...)) })
		defer restore()
	}
	err := tui.Run(ctx, tui.Config{
		Service: sitting, Scope: session.Scope{Namespace: o.Namespace(), All: how.all}, ReadOnly: how.readOnly,
		Source: source, Program: o.Program, In: o.In, Out: o.Out, Now: o.Now,
		Color: printers.AllowsColorOutput(o.Out), Environ: os.Environ(),
	})
	if errors.Is(err, context.Canceled) {
		return &Exit{Code: Interrupted}
	}
	return err
}

// sitting is a Session about what the options name.
func (o *Options) sitting(how screens) *session.Session {
	return session.New(session.Config{
		Filename: o.Filename, State: o.State, Cluster: o.API, Program: o.Program, ReadOnly: how.readOnly,
		Now: o.Now, Dial: o.Dial, Lookup: o.Lookup, ProbeTimeout: how.timeout, Via: o.via(how.via),
		Readings: o.Readings,
	})
}

// placeable refuses what World refuses before anything is read.
func (o *Options) placeable() error {
	if o.Filename == "" && o.State != "" {
		return errors.New("--state is about files: it needs -f DIR, a cluster keeps status in its objects")
	}
	return nil
}

// via is how endpoints are reached, where the flag does not say it.
func (o *Options) via(chosen string) string {
	switch {
	case chosen != "":
		return chosen
	case o.Filename != "":
		return session.ViaDirect
	default:
		return session.ViaPortForward
	}
}

// reachable says what is wrong with a path or a kubeconfig while that can be said
// in plain text.
func (o *Options) reachable(ctx context.Context) error {
	if o.Filename == "" {
		return o.connect(ctx)
	}
	return collect.Check(o.Filename)
}

// connect has whatever asks for credentials ask for them while the terminal is
// still theirs: afterwards the keys belong to the screens. An API server that
// does not answer is no reason not to begin: the screens say that.
func (o *Options) connect(ctx context.Context) error {
	config, err := o.API.RESTConfig()
	if err != nil || config.ExecProvider == nil {
		return err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("version").String(), http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if _, network := errors.AsType[*net.OpError](err); err != nil && !network {
		return fmt.Errorf("cannot reach %s: %w", o.API.Name(), err)
	}
	if err == nil {
		_ = response.Body.Close()
	}
	// What keeps the credentials looks at this object from now on, when it has to ask
	// again. It is found by what the object was: whoever connects later, with the
	// copy, is given the same keeper, and the credentials that it has.
	asker := config.ExecProvider
	config.ExecProvider = new(*asker)
	asker.StdinUnavailable = true
	asker.StdinUnavailableMessage = "the screens have it; begin them anew to be asked"
	return nil
}
