package main_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestWhateverIsKilledNothingIsLeft ends a command at points that differ in what
// is there already, and expects that the next one copes.
func TestWhateverIsKilledNothingIsLeft(t *testing.T) {
	for _, point := range []string{"bin", "plan.json", "supervisor.sock", "logs/etcd.log", "logs/kubelet.log"} {
		t.Run("up is killed when there is "+point, func(t *testing.T) {
			before := look(t)
			n := newNode(t)
			n.killedUp(point)
			n.run("down")
			n.clean(before)
		})
	}
	t.Run("up after a killed up, then the supervisor is killed", func(t *testing.T) {
		before := look(t)
		n := newNode(t)
		n.killedUp("logs/kube-apiserver.log")
		n.run("up")
		n.run("status")
		n.killSupervisor()
		if output := n.run("up"); !strings.Contains(output, "supervisor is gone") {
			t.Errorf("up says %q", output)
		}
		n.killSupervisor()
		n.run("down")
		n.clean(before)
	})
	t.Run("the directory is removed under a running cluster", func(t *testing.T) {
		before := look(t)
		n := newNode(t)
		n.run("up")
		// What runs makes files meanwhile, so that some may stay.
		_ = os.RemoveAll(n.dir)
		n.run("down")
		n.clean(before)
	})
}

// killedUp starts up and kills it as soon as the path is there.
func (n *node) killedUp(path string) {
	n.t.Helper()
	command := n.command(n.t.Context(), "up")
	if err := command.Start(); err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, path, func() string {
		if _, err := os.Stat(filepath.Join(n.dir, path)); err != nil {
			return err.Error()
		}
		return ""
	})
	if err := command.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	_ = command.Wait()
}

func (n *node) killSupervisor() {
	n.t.Helper()
	for _, process := range processesOf(n.t, n.dir) {
		if !strings.Contains(process, " supervise ") {
			continue
		}
		pid, err := strconv.Atoi(strings.Fields(process)[0])
		if err != nil {
			n.t.Fatal(err)
		}
		found, err := os.FindProcess(pid)
		if err != nil {
			n.t.Fatal(err)
		}
		if err := found.Kill(); err != nil {
			n.t.Fatal(err)
		}
		return
	}
	n.t.Fatal("there is no supervisor")
}

func TestADirectoryOfSomethingElseIsLeftAlone(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: directory}
	for _, command := range []string{"up", "down"} {
		if output, err := n.try(command); err == nil || !strings.Contains(output, "something else than a cluster") {
			t.Errorf("%s says %v: %s", command, err, output)
		}
	}
	if _, err := os.Stat(filepath.Join(directory, "precious")); err != nil {
		t.Error(err)
	}
}

func TestARangeInUseIsRefusedByName(t *testing.T) {
	before := look(t)
	first, second := newNode(t), newNode(t)
	first.run("up", "--range", "10.240.0.0/16")
	output, err := second.try("up", "--range", "10.240.0.0/16")
	if err == nil || !strings.Contains(output, "10.240.0.0/16") || !strings.Contains(output, "--range") {
		t.Errorf("up says %v: %s", err, output)
	}
	second.run("down")
	second.run("up")
	second.run("status")
	first.run("status")
	second.run("down")
	first.run("down")
	first.clean(before)
	second.clean(before)
	if output, err := first.try("up", "--range", "192.168.1.0/24"); err == nil || !strings.Contains(output, "/16") {
		t.Errorf("up says %v: %s", err, output)
	}
}
