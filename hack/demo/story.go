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
	out    io.Writer
	world  *world
	op     *operator
	plugin string
}

// step is one thing to see.
type step struct {
	title string
	// before happens first, and says what; nil for nothing.
	before func(ctx context.Context) error
	// commands are run in order; every one but the last must succeed.
	commands [][]string
	// refused says that the last command must fail and change no file.
	refused bool
	// status is what the client must get at the end; 0 where no request is made.
	status int
	// degraded is what the last command must show as SecurityDegraded; "" where
	// that is not looked at.
	degraded string
	why      string
}

func (s *story) steps() []step {
	return []step{
		{
			title:    "(a) Strict by default: the policy's CA did not issue the backend's certificate",
			commands: [][]string{{"inspect", "svc/api"}},
			status:   503,
			why:      "Envoy refuses a certificate that no trusted CA issued, and inspect names the check that fails.",
		},
		{
			title:    "(b) Pin what the backends serve",
			commands: [][]string{{"pin", "svc/api", "--yes", "--write"}},
			status:   200,
			why:      "The public key of the live certificate is now what is trusted, and nothing else is.",
		},
		{
			title:    "(c) The backends restart with a new key",
			before:   s.world.newKey,
			commands: [][]string{{"inspect", "svc/api"}},
			status:   503,
			why:      "Another key is another identity, whatever name the certificate carries.",
		},
		{
			title:    "(d) Somebody wants to switch verification off",
			commands: [][]string{skipOn()},
			refused:  true,
			why:      "The Gateway's GatewayParameters allow no insecure mode; nothing was written.",
		},
		{
			title:    "(e) The gateway operator allows it for at most an hour; the same command again",
			before:   func(context.Context) error { return s.world.allow(true) },
			commands: [][]string{skipOn(), {"inspect", "svc/api"}},
			status:   200,
			degraded: "True",
			why:      "Verification is off, for two minutes, with a reason, and the status says so before Envoy does it.",
		},
		{
			title:    "(f) Back to what is written",
			commands: [][]string{{"skip-verify", "off", "svc/api", "--write", "--yes"}},
			status:   503,
			why:      "Verification is on again at once; the new key still is not the pinned one.",
		},
		{
			title: "(g) The new key is right: replace the pin",
			commands: [][]string{
				{"pin", "svc/api", "--replace", "--yes", "--write"},
				{"inspect", "svc/api"},
			},
			status:   200,
			degraded: "False",
			why:      "Strict, pinned, and SecurityDegraded is False.",
		},
	}
}

func skipOn() []string {
	return []string{"skip-verify", "on", "svc/api", "--for", "2m", "--reason", "demo", "--yes", "--write"}
}

// tell runs every step, and checks that each shows what it says.
func (s *story) tell(ctx context.Context) error {
	started := time.Now()
	if err := s.op.ready(ctx, s.world); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "operator and Envoy are up after %.1f s, two backends serve one self-signed certificate\n\n",
		time.Since(started).Seconds())
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
	digest, err := s.world.digest()
	if err != nil {
		return err
	}
	var output string
	for i, arguments := range step.commands {
		// What a command shows is only worth showing once Envoy has what the
		// command before it wrote.
		if i > 0 {
			if err := s.settle(ctx, step.status); err != nil {
				return err
			}
		}
		last := i == len(step.commands)-1
		if output, err = s.command(ctx, box, arguments, last && step.refused); err != nil {
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
	after, err := s.world.digest()
	if err != nil {
		return err
	}
	if after != digest {
		return errors.New("the refused command changed a file")
	}
	box.result("refused (exit 1), nothing written")
	return nil
}

// settle waits until the operator reports that Envoy has the policy as it is
// in the files now, and a client gets the status.
func (s *story) settle(ctx context.Context, status int) error {
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got := 0
	for {
		if programmed, err := s.world.programmed(); err == nil && programmed {
			if got = s.world.request(bounded); got == status {
				return nil
			}
		}
		select {
		case <-bounded.Done():
			return fmt.Errorf("a client gets %d, not %d, 20 seconds later", got, status)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// command runs a verb of the plugin as a person would.
func (s *story) command(ctx context.Context, box *box, arguments []string, refused bool) (string, error) {
	arguments = append(arguments, "-f", s.world.dir)
	box.command("kubectl backendtls " + strings.Join(arguments, " "))
	command := exec.CommandContext(ctx, s.plugin, arguments...)
	command.Env = append(os.Environ(), fmt.Sprintf("COLUMNS=%d", inside))
	output, err := command.CombinedOutput()
	box.output(string(output))
	failure := &exec.ExitError{}
	switch {
	case err == nil && refused:
		return "", errors.New("the command succeeded, it should have been refused")
	case err == nil, refused && errors.As(err, &failure) && failure.ExitCode() == 1:
		return string(output), nil
	default:
		return "", fmt.Errorf("kubectl backendtls %s: %w", arguments[0], err)
	}
}

func (s *story) end(took time.Duration) {
	fmt.Fprintf(s.out, "All seven steps went as told, in %.0f s.\n", took.Seconds())
}

// keep says what to type while everything stays up.
func (s *story) keep(bin string) {
	fmt.Fprintf(s.out, `
Everything stays up until you press Ctrl-C, and then is removed.
In another terminal, in this directory:

  export PATH=$PWD/%[1]s:$PATH
  kubectl-backendtls inspect svc/api -f %[2]s
  kubectl-backendtls fetch svc/api -f %[2]s
  kubectl-backendtls verify svc/api -f %[2]s
  curl -i http://%[3]s/
  tail -f %[4]s

Edit a file in %[2]s,
and the status in %[2]s/.backendtls/status follows.
`, bin, s.world.dir, s.world.gateway, s.op.log)
}
