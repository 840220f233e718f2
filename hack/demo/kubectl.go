package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// kubectl runs kubectl with one kubeconfig, whatever the environment names.
type kubectl struct {
	binary     string
	kubeconfig string
	// plugins is the directory of kubectl-backendtls.
	plugins string
	// cache is where it keeps what it remembers of the server.
	cache string
}

// environment is this process's without its KUBECONFIG, with the plugin on PATH,
// and with a cache that no other cluster of the same address has written.
func (k kubectl) environment() []string {
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "KUBECONFIG=") || strings.HasPrefix(variable, "PATH=")
	})
	path := k.plugins + string(filepath.ListSeparator) + filepath.Dir(k.binary) +
		string(filepath.ListSeparator) + os.Getenv("PATH")
	return append(kept, "PATH="+path, "KUBECONFIG="+k.kubeconfig, "KUBECACHEDIR="+k.cache)
}

func (k kubectl) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, k.binary, arguments...)
	command.Env = k.environment()
	return command
}

// run is what kubectl prints on stdout; its stderr is in the error.
func (k kubectl) run(ctx context.Context, arguments ...string) (string, error) {
	return k.feed(ctx, "", arguments...)
}

// apply applies a manifest from memory.
func (k kubectl) apply(ctx context.Context, manifest string) error {
	_, err := k.feed(ctx, manifest, "apply", "--server-side", "--field-manager=demo", "--force-conflicts", "-f", "-")
	return err
}

func (k kubectl) feed(ctx context.Context, stdin string, arguments ...string) (string, error) {
	command := k.command(ctx, arguments...)
	// Ctrl-C in the terminal is the demo's to handle: it ends ctx, except while the
	// demo tidies up, which has to come to its end.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := command.Run(); err != nil {
		words := strings.TrimSpace(stderr.String())
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(arguments, " "), err, words)
	}
	return stdout.String(), nil
}
