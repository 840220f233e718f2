package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAClusterDoesWhatARealOneDoes makes one cluster and uses it as people use
// clusters. Its parts build on each other.
func TestAClusterDoesWhatARealOneDoes(t *testing.T) {
	before := look(t)
	n := newNode(t)
	t.Log(n.run("up"))
	t.Run("a second up says that it is up, at once", n.secondUp)
	t.Run("the kubeconfig is its owner's alone and verifies the server", n.kubeconfig)
	t.Run("pods run under the restricted standard", n.pods)
	t.Run("a privileged pod is refused there", n.privileged)
	t.Run("logs, exec and port-forward work", n.streams)
	t.Run("the host reaches cluster and load balancer addresses", n.fromHost)
	t.Run("pods reach Services by name, themselves too", n.fromPod)
	t.Run("a projected token is for its audience only", n.tokens)
	t.Run("an address is free again when its Service is gone", n.addresses)
	t.Run("the kubelet answers nobody without a certificate", n.anonymous)
	t.Run("the API server can be killed and returns", n.kill)
	t.Run("a part can hang, and up mends it", n.hang)
	n.run("down")
	n.clean(before)
	if output := n.run("down"); !strings.Contains(output, "no cluster") {
		t.Errorf("a second down says %q", output)
	}
}

func (n *node) on(t *testing.T) *node { return &node{t: t, dir: n.dir} }

func (n *node) secondUp(t *testing.T) {
	started := time.Now()
	output := n.on(t).run("up")
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
	if !strings.Contains(output, "up already") {
		t.Errorf("it says %q", output)
	}
	n.on(t).run("status")
}

func (n *node) kubeconfig(t *testing.T) {
	path := filepath.Join(n.dir, "kubeconfig")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "insecure-skip-tls-verify: true") ||
		!strings.Contains(string(content), "certificate-authority-data") {
		t.Error("it does not verify the server")
	}
	if version := n.on(t).get("version"); !strings.Contains(version, "Server Version: v1.") {
		t.Errorf("kubectl version says %q", version)
	}
}

func (n *node) pods(t *testing.T) {
	n = n.on(t)
	file := filepath.Join(t.TempDir(), "probe.tar")
	n.run("image", "--name", "docker.io/backendtls/probe:test", "--binary", binary+"-probe", "--out", file)
	n.run("load", file)
	if output := n.run("load", file); !strings.Contains(output, "already") {
		t.Errorf("a second load says %q", output)
	}
	n.get("apply", "-f", "testdata/web.yaml")
	n.get("--namespace", "probe", "rollout", "status", "deployment/web", "--timeout=60s")
}

func (n *node) privileged(t *testing.T) {
	output, err := n.on(t).kubectl("apply", "-f", "testdata/privileged.yaml")
	if err == nil || !strings.Contains(output, "violates PodSecurity") {
		t.Errorf("apply says %v: %s", err, output)
	}
}

func (n *node) streams(t *testing.T) {
	n = n.on(t)
	eventually(t, "the log of the pod", func() string {
		if logs := n.get("--namespace", "probe", "logs", "deployment/web"); !strings.HasSuffix(logs, "\nprobe serves") {
			return fmt.Sprintf("it is %q", logs)
		}
		return ""
	})
	if output := n.inPod("fetch", "http://127.0.0.1:8080"); output != "hello" {
		t.Errorf("exec says %q", output)
	}
	forward := exec.CommandContext(t.Context(), filepath.Join(n.dir, "bin", "kubectl"),
		"--kubeconfig", filepath.Join(n.dir, "kubeconfig"), "--namespace", "probe",
		"port-forward", "deployment/web", ":8080")
	output, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = forward.Wait() }()
	defer func() { _ = forward.Process.Kill() }()
	buffer := make([]byte, 200)
	read, err := output.Read(buffer)
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`127\.0\.0\.1:(\d+) ->`).FindSubmatch(buffer[:read])
	if match == nil {
		t.Fatalf("port-forward says %q", buffer[:read])
	}
	if body := fetch(t, "http://127.0.0.1:"+string(match[1])); body != "hello" {
		t.Errorf("through the tunnel comes %q", body)
	}
}

// inPod runs the probe in a pod.
func (n *node) inPod(arguments ...string) string {
	n.t.Helper()
	program := "/usr/local/bin/" + filepath.Base(binary) + "-probe"
	return n.get(append([]string{"--namespace", "probe", "exec", "deployment/web", "--", program}, arguments...)...)
}

// fetch gets a page, or the reason why not.
func fetch(t *testing.T, url string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// balanced is the load balancer address of a Service.
func (n *node) balanced(service string) string {
	n.t.Helper()
	var address string
	eventually(n.t, "address of "+service, func() string {
		address = n.get("--namespace", "probe", "get", "service", service,
			"--output", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if address == "" {
			return "none yet"
		}
		return ""
	})
	return address
}

func (n *node) fromHost(t *testing.T) {
	n = n.on(t)
	cluster := n.get("--namespace", "probe", "get", "service", "web", "--output", "jsonpath={.spec.clusterIP}")
	for _, address := range []string{cluster, n.balanced("web")} {
		eventually(t, "http://"+address, func() string {
			if body := fetch(t, "http://"+address); body != "hello" {
				return body
			}
			return ""
		})
	}
}

func (n *node) fromPod(t *testing.T) {
	n = n.on(t)
	cluster := n.get("--namespace", "probe", "get", "service", "web", "--output", "jsonpath={.spec.clusterIP}")
	for _, name := range []string{"web", "web.probe", "web.probe.svc.cluster.local"} {
		if addresses := n.inPod("lookup", name); addresses != cluster {
			t.Errorf("%s is %q, not %s", name, addresses, cluster)
		}
	}
	// More often than there are pods, so that one reaches itself.
	for range 10 {
		if body := n.inPod("fetch", "http://web"); body != "hello" {
			t.Errorf("the Service says %q", body)
		}
	}
	output, err := n.kubectl("--namespace", "probe", "exec", "deployment/web", "--",
		"/usr/local/bin/"+filepath.Base(binary)+"-probe", "lookup", "example.com")
	if err == nil || !strings.Contains(output, "no such host") {
		t.Errorf("a name outside the cluster: %v: %s", err, output)
	}
}

func (n *node) tokens(t *testing.T) {
	n = n.on(t)
	token := n.inPod("read", "/token/token")
	for audience, want := range map[string]bool{"test-audience": true, "other": false} {
		review := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview",`+
			`"spec":{"token":%q,"audiences":[%q]}}`, token, audience)
		file := filepath.Join(t.TempDir(), audience)
		if err := os.WriteFile(file, []byte(review), 0o600); err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Status struct {
				Authenticated bool
			}
		}
		output := n.get("create", "--raw", "/apis/authentication.k8s.io/v1/tokenreviews", "--filename", file)
		if err := json.Unmarshal([]byte(output), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Status.Authenticated != want {
			t.Errorf("for audience %s the answer is %s", audience, output)
		}
	}
}

func (n *node) addresses(t *testing.T) {
	n = n.on(t)
	n.get("apply", "-f", "testdata/balanced.yaml")
	address := n.balanced("other")
	if address == n.balanced("web") {
		t.Fatalf("two Services have %s", address)
	}
	n.get("--namespace", "probe", "patch", "service", "other", "--patch", `{"spec":{"type":"ClusterIP"}}`)
	eventually(t, "a Service of another type", func() string {
		return n.get("--namespace", "probe", "get", "service", "other", "--output", "jsonpath={.status.loadBalancer.ingress}")
	})
	n.get("--namespace", "probe", "delete", "service", "other")
	n.get("apply", "-f", "testdata/balanced.yaml")
	if again := n.balanced("other"); again != address {
		t.Errorf("the address was %s and is %s", address, again)
	}
}

func (n *node) anonymous(t *testing.T) {
	n = n.on(t)
	ca, err := os.ReadFile(filepath.Join(n.dir, "pki", "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := http.Client{
		Timeout:   3 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	address := n.get("get", "node", "node-1", "--output", "jsonpath={.status.addresses[0].address}")
	for _, url := range []string{"https://" + address + ":10250/pods", "https://" + address + ":6443/version"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s says %s", url, response.Status)
		}
	}
}

func (n *node) kill(t *testing.T) {
	n = n.on(t)
	n.run("kill", "kube-apiserver")
	if output, err := n.try("status"); err == nil || !strings.Contains(output, "killed") {
		t.Errorf("status says %v: %s", err, output)
	}
	if output, err := n.kubectl("get", "nodes"); err == nil {
		t.Errorf("the API server still answers: %s", output)
	}
	if body := fetch(t, "http://"+n.service()); body != "hello" {
		t.Errorf("the Service says %q without an API server", body)
	}
	n.run("start", "kube-apiserver")
	n.get("get", "nodes")
	if output, err := n.try("kill", "kube-api"); err == nil || !strings.Contains(output, "kube-apiserver") {
		t.Errorf("for a part that is none it says %v: %s", err, output)
	}
}

// service is an address that needs no API server to be known.
func (n *node) service() string {
	n.t.Helper()
	content, err := os.ReadFile(filepath.Join(n.dir, "plan.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	match := regexp.MustCompile(`"range": "(\d+\.\d+)\.`).FindSubmatch(content)
	return string(match[1]) + ".128.1"
}

func (n *node) hang(t *testing.T) {
	n = n.on(t)
	n.run("freeze", "etcd")
	n.run("kill", "kubelet", "coredns")
	if output, err := n.try("status"); err == nil || !strings.Contains(output, "frozen") {
		t.Errorf("status says %v: %s", err, output)
	}
	output := n.run("up")
	if !strings.Contains(output, "up again") || !strings.Contains(output, "etcd") {
		t.Errorf("up says %q", output)
	}
	n.run("status")
	n.get("--namespace", "probe", "wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
}
