package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
)

// forward is a port-forward to the Gateway's Envoys, made anew when it broke:
// it ends with the pod that it leads to.
type forward struct {
	kubectl

	command *exec.Cmd
	at      string
}

// url is where the forwarded port is, from now until stop.
func (f *forward) url(ctx context.Context) (string, error) {
	if f.command != nil {
		return f.at, nil
	}
	service, err := f.run(ctx, "get", "service", "-l", "gateway.networking.k8s.io/gateway-name=web", "-o", "name")
	if err != nil || strings.TrimSpace(service) == "" {
		return "", errors.Join(err, errors.New("the Gateway has no Service"))
	}
	command := f.kubectl.command(ctx, "port-forward", strings.TrimSpace(service), ":80")
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	output, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	f.command = command
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		// Forwarding from 127.0.0.1:40123 -> 10080
		words := strings.Fields(lines.Text())
		if len(words) > 2 && words[0] == "Forwarding" && strings.HasPrefix(words[2], "127.0.0.1:") {
			f.at = fmt.Sprintf("http://%s/", words[2])
			go func() {
				for lines.Scan() {
				}
			}()
			return f.at, nil
		}
	}
	f.stop()
	return "", errors.New("kubectl port-forward ended before it forwarded")
}

func (f *forward) stop() {
	if f == nil || f.command == nil {
		return
	}
	_ = f.command.Process.Kill()
	_ = f.command.Wait()
	f.command = nil
}
