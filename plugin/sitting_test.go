package plugin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// sitting is a Session about the files of the fixture.
func (b *bench) sitting() *session.Session { return session.New(b.config()) }

func (b *bench) config() session.Config {
	return session.Config{
		Filename: "desk", Program: "kubectl backendtls", Via: session.ViaDirect, ProbeTimeout: 5 * time.Second,
		Now: func() time.Time { return now }, Dial: b.dial, Readings: b.readings,
	}
}

// port is svc/NAME:443 in the default namespace.
func port(name string) cliv1alpha1.PortReference {
	return cliv1alpha1.PortReference{Namespace: "default", Name: name, Port: 443}
}

// fetched is what the endpoints of a port serve.
func fetched(t *testing.T, s *session.Session, port cliv1alpha1.PortReference) session.Fetched {
	t.Helper()
	seen, err := s.Fetch(t.Context(), port, nil)
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// drafted is a draft that is not refused.
func drafted(t *testing.T) func(session.Draft, error) session.Draft {
	return func(draft session.Draft, err error) session.Draft {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return draft
	}
}

// shown is what a draft shows.
func shown(t *testing.T, draft session.Draft) string {
	t.Helper()
	var text strings.Builder
	if err := draft.Show(&text, 80, false); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// asking is a command line of a verb as the same question to a Session; nil for
// one that a Session cannot be asked, because a flag says what a screen does not.
func asking(line string) func(context.Context, *session.Session) (session.Draft, error) {
	fields := words(line)
	verb := fields[0]
	if fields = fields[1:]; verb == "skip-verify" && len(fields) > 0 {
		verb, fields = verb+" "+fields[0], fields[1:]
	}
	namespace, flags := "default", pflag.NewFlagSet(verb, pflag.ContinueOnError)
	flags.StringVarP(&namespace, "namespace", "n", namespace, "")
	form := flags.String("form", "spki", "")
	only := flags.String("only", "", "")
	reason := flags.String("reason", "", "")
	duration := flags.Duration("for", 0, "")
	if err := flags.Parse(fields); err != nil || flags.NArg() == 0 || flags.NArg() > 1 && verb != "unpin" {
		return nil
	}
	name, found := strings.CutPrefix(flags.Arg(0), "svc/")
	name, number, given := strings.Cut(name, ":")
	about := cliv1alpha1.PortReference{Namespace: namespace, Name: name, Port: 443}
	if given {
		parsed, err := strconv.ParseInt(number, 10, 32)
		found = found && err == nil
		about.Port = int32(parsed)
	}
	if !found {
		return nil
	}
	return func(ctx context.Context, s *session.Session) (session.Draft, error) {
		switch verb {
		case "pin":
			seen, err := s.Fetch(ctx, about, nil)
			if err != nil {
				return nil, err
			}
			return s.Pin(ctx, session.PinAsk{Service: about, Form: edit.Form(*form), Seen: seen})
		case "unpin":
			return s.Unpin(ctx, about, flags.Args()[1:])
		case "skip-verify on":
			return s.SkipOn(ctx, session.SkipAsk{Service: about, Only: *only, For: *duration, Reason: *reason})
		case "skip-verify off":
			return s.SkipOff(ctx, about)
		}
		return nil, fmt.Errorf("%s is no verb that writes", verb)
	}
}

// TestASittingRefusesWhatTheVerbsRefuse runs every refusal of the verbs that a
// screen can come to, and holds the words against those of the verb.
func TestASittingRefusesWhatTheVerbsRefuse(t *testing.T) {
	// These are about the form of a command line, not about what it asks for.
	otherwise := map[string]string{
		"nothing to do":         "", // There is no such verb.
		"several ports":         "", // A screen has a port already, and always names one.
		"no such Service":       "svc/apx:443 is not in namespace default any more",
		"a CA and another name": "",
	}
	compared := 0
	for _, test := range refusals() {
		t.Run(test.name, func(t *testing.T) {
			b := newDesk(t)
			if test.prepare != nil {
				test.prepare(t)
			}
			ask := asking(b.filled(test.line))
			want, differs := otherwise[test.name]
			if ask == nil || differs && want == "" {
				return
			}
			before := contents(t, "desk")
			draft, err := ask(t.Context(), b.sitting())
			switch {
			case err == nil && strings.Contains(test.name, "key change"):
				// It is not refused, because somebody can be asked: for the name.
				if ask := draft.Confirmation(); ask.Type != draft.Policy() || !strings.Contains(ask.Why, "key change") {
					t.Errorf("it asks %+v", ask)
				}
			case err == nil:
				t.Fatalf("it is not refused, but\n%s", shown(t, draft))
			case differs:
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			default:
				_, _, stderr := b.run(words(b.filled(test.line) + " -f desk")...)
				last := stderr[strings.LastIndex("\n"+stderr, "\nerror: ")+len("error: "):]
				if said := err.Error(); !strings.HasSuffix(said, strings.TrimSuffix(last, "\n")) {
					t.Errorf("the session says\n%s\nthe verb\n%s", said, last)
				}
			}
			compared++
			if changed := differences(before, contents(t, "desk")); changed != "" {
				t.Errorf("files changed:\n%s", changed)
			}
		})
	}
	if compared < 35 {
		t.Errorf("only %d refusals were compared", compared)
	}
}

func TestAPolicyOfSeveralTargetsIsRefusedWithItsSplit(t *testing.T) {
	b := newDesk(t)
	_, err := b.sitting().Unpin(t.Context(), port("one"), nil)
	if several, is := errors.AsType[*session.SeveralTargetsError](err); !is || several.Targets != 2 ||
		!strings.Contains(err.Error(), "name: both-one\n") || !strings.Contains(err.Error(), "name: both-two\n") {
		t.Errorf("%v", err)
	}
}

func TestADraftIsWhatTheVerbShows(t *testing.T) {
	for _, line := range []string{
		"pin svc/api", "pin svc/new", "pin svc/good --form ca", "pin svc/shut", "pin svc/far -n shop",
		"unpin svc/rotate", "unpin svc/rotate @spki:good@",
		"skip-verify on svc/api --for 2h --reason x", "skip-verify on svc/new --for 2h --reason x", "skip-verify off svc/shut",
	} {
		t.Run(line, func(t *testing.T) {
			b := newDesk(t)
			line := b.filled(line)
			draft := drafted(t)(asking(line)(t.Context(), b.sitting()))
			_, stdout, stderr := b.run(words(line + " -f desk")...)
			text := shown(t, draft)
			if want, _, _ := strings.Cut(stderr, "\n\nNothing was written"); !strings.HasPrefix(stderr, shownAt(t, draft, 0)) {
				t.Errorf("the draft shows\n%s\nthe verb\n%s", text, want)
			}
			if draft.Manifest() != stdout {
				t.Errorf("the manifest is\n%s\nof the verb\n%s", draft.Manifest(), stdout)
			}
		})
	}
}

func shownAt(t *testing.T, draft session.Draft, width int) string {
	t.Helper()
	var text strings.Builder
	if err := draft.Show(&text, width, false); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestADifferenceKeepsTheCommentsOfAFile(t *testing.T) {
	b := newDesk(t)
	s := b.sitting()
	draft := drafted(t)(s.Pin(t.Context(), session.PinAsk{
		Service: port("api"), Form: edit.FormSPKI, Seen: fetched(t, s, port("api")),
	}))
	want := "--- " + apiPolicy + "\n+++ " + apiPolicy + "\n@@ "
	text := draft.Difference()
	if !strings.HasPrefix(text, want) || !strings.Contains(text, "\n     # options: none yet\n") ||
		!strings.Contains(text, "\n+        backendtls.dev/pins: "+b.filled("@spki:api@")+"\n") {
		t.Errorf("%s", text)
	}
	before := contents(t, "desk")
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var told []string
	if err := draft.Acknowledged(t.Context(), func(text string) { told = append(told, text) }); err != nil ||
		len(told) != 1 || !strings.Contains(told[0], apiPolicy) {
		t.Errorf("%v, %q", err, told)
	}
	if changed := differences(before, contents(t, "desk")); !strings.Contains(changed, "backendtls.dev/pins") {
		t.Errorf("%s", changed)
	}
}

func TestWhatWasNotShownIsNotPinned(t *testing.T) {
	for name, test := range map[string]struct {
		change func(b *bench)
		want   string
	}{
		"another key":        {func(b *bench) { b.serve(b.identity("other"), "10.1.0.2:8443") }, "10.1.0.2:8443 serves a certificate that was not shown"},
		"another pod":        {func(b *bench) { grow(b.t, "10.1.0.2", "10.1.12.2") }, "10.1.12.2:8443 serves a certificate that was not shown"},
		"a key that is gone": {func(b *bench) { b.serve(b.identity("good"), "10.1.0.1:8443", "10.1.0.2:8443") }, "no endpoint serves"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDesk(t)
			s := b.sitting()
			ask := session.PinAsk{Service: port("api"), Form: edit.FormSPKI, Seen: fetched(t, s, port("api"))}
			test.change(b)
			_, err := s.Pin(t.Context(), ask)
			if !errors.Is(err, session.ErrServedChanged) || !errors.Is(err, edit.ErrChanged) ||
				!strings.Contains(err.Error(), test.want) {
				t.Fatalf("%v", err)
			}
		})
	}
	// Another pod with a key that was shown is no change.
	b := newDesk(t)
	s := b.sitting()
	ask := session.PinAsk{Service: port("api"), Form: edit.FormSPKI, Seen: fetched(t, s, port("api"))}
	grow(t, "10.1.0.2", "10.1.6.1")
	if draft := drafted(t)(s.Pin(t.Context(), ask)); !draft.Changes() {
		t.Error("nothing would change")
	}
}

// grow puts an endpoint in another's place in the files.
func grow(t *testing.T, old, address string) {
	t.Helper()
	replace(t, "desk/api.yaml", "addresses: ["+old+"]", "addresses: ["+address+"]")
}

func TestEveryPortOfAPolicyIsShownBeforeItIsPinned(t *testing.T) {
	b := newDesk(t)
	s := b.sitting()
	about := port("whole")
	seen := fetched(t, s, about)
	ports := map[int32]bool{}
	for _, endpoint := range seen.Endpoints {
		ports[endpoint.Service.Port] = true
	}
	if len(ports) != 2 {
		t.Fatalf("ports %v were asked", ports)
	}
	drafted(t)(s.Pin(t.Context(), session.PinAsk{Service: about, Form: edit.FormSPKI, Seen: seen}))
	seen.Endpoints = seen.Endpoints[:1]
	if _, err := s.Pin(t.Context(), session.PinAsk{Service: about, Form: edit.FormSPKI, Seen: seen}); err == nil ||
		!strings.Contains(err.Error(), "the policy decides about svc/whole:") {
		t.Errorf("%v", err)
	}
}

func TestOnlyTheChosenKeysArePinned(t *testing.T) {
	b := newDesk(t)
	b.serve(b.identity("other"), "10.1.0.2:8443")
	s := b.sitting()
	seen := fetched(t, s, port("api"))
	key, other := b.filled("@spki:api@"), b.filled("@spki:other@")
	ask := session.PinAsk{Service: port("api"), Form: edit.FormSPKI, Seen: seen, Keys: []string{key}}
	draft := drafted(t)(s.Pin(t.Context(), ask))
	if manifest := draft.Manifest(); !strings.Contains(manifest, key) || strings.Contains(manifest, other) {
		t.Errorf("%s", manifest)
	}
	if text := shown(t, draft); !strings.Contains(text, "1 of 2 endpoints would not pass") {
		t.Errorf("%s", text)
	}
	ask.Keys = []string{b.filled("@spki:good@")}
	if _, err := s.Pin(t.Context(), ask); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("%v", err)
	}
	ask.Keys = []string{}
	if _, err := s.Pin(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "choose one") {
		t.Errorf("%v", err)
	}
	// To leave out what is pinned, and served, is a key change as well.
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ask.Keys = []string{other}
	again := drafted(t)(s.Pin(t.Context(), ask))
	if confirmation := again.Confirmation(); confirmation.Type != "api" || !strings.Contains(confirmation.Why, "not among what is chosen") {
		t.Errorf("%+v", confirmation)
	}
	if text := shown(t, again); !strings.Contains(text, "KEY CHANGE") || strings.Contains(text, "no endpoint serves what is pinned") {
		t.Errorf("%s", text)
	}
}

func TestADraftOfFilesThatChangedMeanwhileIsNotWritten(t *testing.T) {
	b := newDesk(t)
	s := b.sitting()
	draft := drafted(t)(s.Unpin(t.Context(), port("rotate"), nil))
	replace(t, "desk/rotate.yaml", "kind: Service\n", "kind: Service # mine\n")
	before := contents(t, "desk")
	if err := draft.Commit(t.Context()); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("%v", err)
	}
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
}

func TestOffLooksAgainWhereAFileChangedMeanwhile(t *testing.T) {
	b := newDesk(t)
	draft := drafted(t)(b.sitting().SkipOff(t.Context(), port("shut")))
	replace(t, "desk/shut.yaml", "kind: Service\n", "kind: Service # mine\n")
	before := contents(t, "desk")
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if changed := differences(before, contents(t, "desk")); strings.Count(changed, "\n-    backendtls.dev/mode") != 4 ||
		strings.Contains(changed, "# mine") {
		t.Errorf("%s", changed)
	}
	if _, err := b.sitting().SkipOff(t.Context(), port("shut")); !errors.Is(err, session.ErrNoMode) {
		t.Errorf("%v", err)
	}
}

func TestNothingIsDraftedReadOnly(t *testing.T) {
	b := newDesk(t)
	config := b.config()
	config.ReadOnly = true
	s := session.New(config)
	for _, line := range []string{
		"pin svc/api", "unpin svc/rotate", "skip-verify on svc/api --for 1h --reason x", "skip-verify off svc/shut",
	} {
		if _, err := asking(line)(t.Context(), s); err == nil || !strings.Contains(err.Error(), "--read-only") {
			t.Errorf("%s: %v", line, err)
		}
	}
}
