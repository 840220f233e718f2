package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// standalone is the stage on files: the operator runs as a child process.
type standalone struct {
	*world

	op  *operator
	bin string
}

// newStandalone makes the directory and starts the operator on it.
func newStandalone(ctx context.Context, bin, envoy, root string) (*standalone, error) {
	w, err := newWorld(ctx, root)
	if err != nil {
		return nil, err
	}
	op, err := startOperator(ctx, filepath.Join(bin, "backendtls-operator"), envoy, w.dir)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	return &standalone{world: w, op: op, bin: bin}, nil
}

func (s *standalone) ready(ctx context.Context) (string, error) {
	return "operator, Envoy and two self-signed backends are up", s.op.ready(ctx, s.world)
}

func (s *standalone) programmed(context.Context) (bool, error) { return s.world.programmed() }

func (s *standalone) allow(_ context.Context, skip bool) error { return s.world.allow(skip) }

func (s *standalone) digest(context.Context) (string, error) { return s.world.digest() }

func (s *standalone) verb(ctx context.Context, arguments []string, writes bool) (string, *exec.Cmd) {
	if writes {
		arguments = append(arguments, "--write")
	}
	arguments = append(arguments, "-f", s.dir)
	return "kubectl backendtls " + strings.Join(arguments, " "),
		exec.CommandContext(ctx, filepath.Join(s.bin, "kubectl-backendtls"), arguments...)
}

func (s *standalone) lastWords(context.Context) error { return s.op.logTail() }

func (s *standalone) close(context.Context) error { return errors.Join(s.op.stop(), s.world.close()) }

func (s *standalone) hint() string {
	return fmt.Sprintf(`In another terminal, in this directory:

  export PATH=$PWD/%[1]s:$PATH
  kubectl-backendtls inspect svc/api -f %[2]s
  kubectl-backendtls fetch svc/api -f %[2]s
  kubectl-backendtls verify svc/api -f %[2]s
  curl -i http://%[3]s/
  tail -f %[4]s

Edit a file in %[2]s,
and the status in %[2]s/.backendtls/status follows.
`, s.bin, s.dir, s.gateway, s.op.log)
}
