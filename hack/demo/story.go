package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// story is the demo's seven steps.
type story struct {
	out   io.Writer
	stage stage
}

// step is one thing to see.
type step struct {
	title string
	// before happens first, and says what; nil for nothing.
	before func(ctx context.Context) error
	// verbs are run in order; every one but the last must succeed.
	verbs []verb
	// refused says that the last command must fail and change nothing.
	refused bool
	// status is what the client must get at the end; 0 where no request is made.
	status int
	// degraded is what the last command must show as SecurityDegraded; "" where
	// that is not looked at.
	degraded string
	why      string
}

// verb is a command of the plugin.
type verb struct {
	arguments string
	// writes says that it is meant to write.
	writes bool
}

func (s *story) steps() []step {
	return []step{
		{
			title:  "(a) Strict by default: the policy's CA did not issue the certificate",
			verbs:  []verb{inspect},
			status: 503,
			why:    "No trusted CA issued the certificate, and inspect names the check that fails.",
		},
		{
			title:  "(b) Pin what the backends serve",
			verbs:  []verb{{"pin svc/api --yes", true}},
			status: 200,
			why:    "The public key of the live certificate is now what is trusted, and nothing else is.",
		},
		{
			title:  "(c) The backends restart with a new key",
			before: s.stage.newKey,
			verbs:  []verb{inspect},
			status: 503,
			why:    "Another key is another identity, whatever name the certificate carries.",
		},
		{
			title:   "(d) Somebody wants to switch verification off",
			verbs:   []verb{skipOn},
			refused: true,
			why:     "The Gateway's GatewayParameters allow no insecure mode; nothing was written.",
		},
		{
			title:    "(e) The gateway operator allows it for at most an hour; the same again",
			before:   func(ctx context.Context) error { return s.stage.allow(ctx, true) },
			verbs:    []verb{skipOn, inspect},
			status:   200,
			degraded: "True",
			why:      "Verification is off, for two minutes; the status says so before Envoy does it.",
		},
		{
			title:  "(f) Back to what is written",
			verbs:  []verb{{"skip-verify off svc/api --yes", true}},
			status: 503,
			why:    "Verification is on again at once; the new key still is not the pinned one.",
		},
		{
			title:    "(g) The new key is right: replace the pin",
			verbs:    []verb{{"pin svc/api --replace --yes", true}, inspect},
			status:   200,
			degraded: "False",
			why:      "Strict, pinned, and SecurityDegraded is False.",
		},
	}
}

var (
	inspect = verb{"inspect svc/api", false}
	skipOn  = verb{"skip-verify on svc/api --for 2m --reason demo --yes", true}
)

// tell runs every step, and checks that each shows what it says.
func (s *story) tell(ctx context.Context) error {
	started := time.Now()
	up, err := s.stage.ready(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "After %.1f s: %s.\n\n", time.Since(started).Seconds(), up)
	for _, step := range s.steps() {
		if err := s.show(ctx, step); err != nil {
			return fmt.Errorf("step %s: %w", step.title, err)
		}
	}
	return nil
}

func (s *story) show(ctx context.Context, step step) error {
	box := newBox(s.out, step.title)
	defer box.close()
	if step.before != nil {
		if err := step.before(ctx); err != nil {
			return err
		}
	}
	digest, err := s.stage.digest(ctx)
	if err != nil {
		return err
	}
	var output string
	for i, verb := range step.verbs {
		// What a command shows is only worth showing once Envoy has what the
		// command before it wrote.
		if i > 0 {
			if err := s.settle(ctx, step.status); err != nil {
				return err
			}
		}
		last := i == len(step.verbs)-1
		if output, err = s.command(ctx, box, verb, last && step.refused); err != nil {
			return err
		}
	}
	if step.degraded != "" && !showsDegraded(output, step.degraded) {
		return fmt.Errorf("the output does not show SecurityDegraded %s", step.degraded)
	}
	if err := s.outcome(ctx, box, step, digest); err != nil {
		return err
	}
	box.text("")
	box.text(step.why)
	return nil
}

// showsDegraded looks for the line of the condition in what inspect prints.
func showsDegraded(output, status string) bool {
	for line := range strings.Lines(output) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "SecurityDegraded" {
			return words[1] == status
		}
	}
	return false
}

// outcome makes the request, or checks that a refused command wrote nothing.
func (s *story) outcome(ctx context.Context, box *box, step step, digest string) error {
	box.text("")
	if !step.refused {
		if err := s.settle(ctx, step.status); err != nil {
			return err
		}
		box.result(fmt.Sprintf("client got %d", step.status))
		return nil
	}
	after, err := s.stage.digest(ctx)
	if err != nil {
		return err
	}
	if after != digest {
		return errors.New("the refused command changed something")
	}
	box.result("refused (exit 1), nothing written")
	return nil
}

// settle waits until the operator reports that Envoy has the policy as it is
// written now, and a client gets the status.
func (s *story) settle(ctx context.Context, status int) error {
	bounded, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	got := 0
	for {
		if programmed, err := s.stage.programmed(bounded); err == nil && programmed {
			if got = s.stage.request(bounded); got == status {
				return nil
			}
		}
		select {
		case <-bounded.Done():
			return fmt.Errorf("a client gets %d, not %d, a minute later", got, status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// command runs a verb of the plugin as a person would.
func (s *story) command(ctx context.Context, box *box, v verb, refused bool) (string, error) {
	typed, command := s.stage.verb(ctx, strings.Fields(v.arguments), v.writes)
	box.command(typed)
	if command.Env == nil {
		command.Env = os.Environ()
	}
	command.Env = append(command.Env, fmt.Sprintf("COLUMNS=%d", inside))
	output, err := command.CombinedOutput()
	box.output(string(output))
	failure := &exec.ExitError{}
	switch {
	case err == nil && refused:
		return "", errors.New("the command succeeded, it should have been refused")
	case err == nil, refused && errors.As(err, &failure) && failure.ExitCode() == 1:
		return string(output), nil
	default:
		return "", fmt.Errorf("%s: %w", typed, err)
	}
}

func (s *story) end(took time.Duration) {
	fmt.Fprintf(s.out, "All seven steps went as told, in %.0f s.\n", took.Seconds())
}

// keep says what to type while everything stays up.
func (s *story) keep() {
	fmt.Fprintf(s.out, "\nEverything stays up until you press Ctrl-C, and then is removed.\n%s", s.stage.hint())
}
