package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// operator is the standalone operator as a child process.
type operator struct {
	command *exec.Cmd
	log     string
	ended   chan error
}

// startOperator runs it on the directory. Its log, which has Envoy's access
// log in it, goes to a file in the directory's state.
func startOperator(ctx context.Context, binary, envoy, dir string) (*operator, error) {
	absolute, err := filepath.Abs(binary)
	if err != nil {
		return nil, err
	}
	o := &operator{log: filepath.Join(dir, ".operator.log"), ended: make(chan error, 1)}
	file, err := os.Create(o.log)
	if err != nil {
		return nil, fmt.Errorf("making the operator's log: %w", err)
	}
	defer func() { _ = file.Close() }()
	o.command = exec.CommandContext(ctx, absolute, "standalone", "--dir", dir, "--envoy", envoy)
	o.command.Stdout, o.command.Stderr = file, file
	// Ctrl-C in the terminal is the demo's to handle, so that it can stop the
	// operator in order. If the demo is killed, the kernel ends the operator:
	// the signal follows the thread that started it, which is the main one.
	o.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	o.command.Cancel = func() error { return o.command.Process.Signal(syscall.SIGTERM) }
	o.command.WaitDelay = 20 * time.Second
	if err := o.command.Start(); err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	go func() { o.ended <- o.command.Wait() }()
	return o, nil
}

// stop ends the operator, which ends its Envoys, and waits until it is gone.
func (o *operator) stop() error {
	if err := o.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stopping the operator: %w", err)
	}
	select {
	case <-o.ended:
		return nil
	case <-time.After(30 * time.Second):
		_ = o.command.Process.Kill()
		<-o.ended
		return errors.New("the operator did not stop within 30 seconds and was killed")
	}
}

// logTail is an error that carries the end of the operator's log.
func (o *operator) logTail() error {
	content, err := os.ReadFile(o.log)
	if err != nil {
		return err
	}
	lines := strings.Split(string(bytes.TrimSpace(content)), "\n")
	if len(lines) > 15 {
		lines = lines[len(lines)-15:]
	}
	return fmt.Errorf("the operator's last words:\n%s", strings.Join(lines, "\n"))
}
