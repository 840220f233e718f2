package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the program under test, built once for all tests.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	directory, err := os.MkdirTemp("", "localcluster-")
	if err != nil {
		println(err.Error())
		return 1
	}
	defer func() { _ = os.RemoveAll(directory) }()
	binary = filepath.Join(directory, "localcluster")
	for target, source := range map[string]string{binary: ".", binary + "-probe": "./testdata/probe"} {
		build := exec.Command("go", "build", "-trimpath", "-o", target, source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			println("build:", err.Error())
			return 1
		}
	}
	return m.Run()
}

// node is a cluster of the tests, in a directory of its own.
type node struct {
	t   *testing.T
	dir string
}

// newNode returns a cluster that is not made yet and that the end of the test
// removes.
func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{t: t, dir: filepath.Join(t.TempDir(), ".cluster")}
	// What kubectl remembers of a server it keeps by address, and the next cluster
	// has the same.
	t.Setenv("KUBECACHEDIR", filepath.Join(n.dir, "kubectl"))
	t.Cleanup(func() {
		if t.Failed() {
			n.tell()
		}
		command := exec.Command(binary, "down", "--dir", n.dir)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("down: %v: %s", err, output)
		}
	})
	return n
}

// tell logs the ends of the cluster's logs.
func (n *node) tell() {
	logs, _ := filepath.Glob(filepath.Join(n.dir, "logs", "*.log"))
	for _, name := range logs {
		content, _ := os.ReadFile(name)
		n.t.Logf("%s ends: %s", filepath.Base(name), content[max(0, len(content)-1500):])
	}
}

// command is the program with the arguments that every test needs.
func (n *node) command(ctx context.Context, arguments ...string) *exec.Cmd {
	arguments = append(arguments, "--dir", n.dir)
	if arguments[0] == "up" {
		arguments = append(arguments, "--sources", "components", "--cache", filepath.Join("..", "..", ".build", "cluster"))
	}
	return exec.CommandContext(ctx, binary, arguments...)
}

// try runs the program and returns what it printed.
func (n *node) try(arguments ...string) (string, error) {
	output, err := n.command(n.t.Context(), arguments...).CombinedOutput()
	return string(output), err
}

func (n *node) run(arguments ...string) string {
	n.t.Helper()
	output, err := n.try(arguments...)
	if err != nil {
		n.t.Fatalf("%s: %v: %s", strings.Join(arguments, " "), err, output)
	}
	return output
}

// kubectl runs the cluster's own kubectl.
func (n *node) kubectl(arguments ...string) (string, error) {
	command := exec.CommandContext(n.t.Context(), filepath.Join(n.dir, "bin", "kubectl"),
		append([]string{"--kubeconfig", filepath.Join(n.dir, "kubeconfig")}, arguments...)...)
	output, err := command.CombinedOutput()
	return strings.TrimSpace(string(output)), err
}

func (n *node) get(arguments ...string) string {
	n.t.Helper()
	output, err := n.kubectl(arguments...)
	if err != nil {
		n.t.Fatalf("kubectl %s: %v: %s", strings.Join(arguments, " "), err, output)
	}
	return output
}

// eventually waits until the condition says nothing.
func eventually(t *testing.T, what string, condition func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		reason := condition()
		if reason == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s", what, reason)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// host is what a cluster could leave behind on the machine.
type host struct {
	links, groups, paths, rules, settings string
}

// pathsOfANode are where a node's parts write if nobody hinders them.
var pathsOfANode = []string{
	"/etc/cni", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/opt/nri", "/run/containerd", "/run/nri",
	"/run/netns", "/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
	"/var/log/containers", "/var/log/pods", "/var/run/kubernetes", "/run/cluster",
}

func look(t *testing.T) host {
	t.Helper()
	var found host
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range interfaces {
		// Other clusters on this machine come and go.
		if !strings.HasPrefix(link.Name, "btls") {
			found.links += link.Name + " "
		}
	}
	for _, pattern := range []string{"k8s.io", "kubepods*", "*/k8s.io", "*/kubepods*"} {
		groups, err := filepath.Glob("/sys/fs/cgroup/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		found.groups += strings.Join(groups, " ")
	}
	for _, path := range pathsOfANode {
		if _, err := os.Lstat(path); err == nil {
			found.paths += path + " "
		}
	}
	rules, err := exec.CommandContext(t.Context(), "nft", "list", "ruleset").Output()
	if err != nil {
		t.Fatalf("nft: %v", err)
	}
	found.rules = string(rules)
	for _, setting := range []string{
		"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward",
	} {
		content, err := os.ReadFile("/proc/sys/" + setting)
		if err != nil {
			t.Fatal(err)
		}
		found.settings += setting + "=" + string(content)
	}
	return found
}

// clean fails unless nothing of the cluster is left on the host.
func (n *node) clean(before host) {
	n.t.Helper()
	if _, err := os.Lstat(n.dir); err == nil {
		n.t.Errorf("%s is still there", n.dir)
	}
	if after := look(n.t); after != before {
		n.t.Errorf("the host was\n%+v\nand is\n%+v", before, after)
	}
	sum := sha256.Sum256([]byte(n.dir))
	hash := hex.EncodeToString(sum[:4])
	for _, pattern := range []string{"", "*/"} {
		groups, err := filepath.Glob("/sys/fs/cgroup/" + pattern + "backendtls-" + hash)
		if err != nil || len(groups) > 0 {
			n.t.Errorf("the control groups %v are left (%v)", groups, err)
		}
	}
	if _, err := net.InterfaceByName("btls" + hash); err == nil {
		n.t.Errorf("the link btls%s is left", hash)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		n.t.Fatal(err)
	}
	if bytes.Contains(mounts, []byte(n.dir)) {
		n.t.Errorf("mounts are left:\n%s", mounts)
	}
	// A process that was killed is there for a moment.
	eventually(n.t, "processes are left", func() string { return strings.Join(processesOf(n.t, n.dir), "\n") })
}

// processesOf finds processes whose program or arguments are below the
// directory.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		program, _ := os.Readlink(filepath.Join(entry, "exe"))
		arguments, _ := os.ReadFile(filepath.Join(entry, "cmdline"))
		if strings.HasPrefix(program, dir) || bytes.Contains(arguments, []byte(dir)) {
			found = append(found, filepath.Base(entry)+" "+strings.ReplaceAll(string(arguments), "\x00", " "))
		}
	}
	return found
}
