package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/command"
	"github.com/backendtls/backendtls/plugin/kubelettest"
	"github.com/backendtls/backendtls/test/pki"
)

// What is fetched: so many Services with so many endpoints each.
const (
	crowdServices = 500
	crowdReplicas = 3
	crowdAll      = crowdServices * crowdReplicas
)

// crowd is a cluster in memory whose pods are TLS servers on loopback, each with
// an address of its own, and the program as people run it.
type crowd struct {
	b       *testing.B
	program string
	// dir has the same as manifests, whose EndpointSlices name the servers.
	dir  string
	api  *apiservertest.Server
	pods *kubelettest.Kubelet
	// accepted counts the connections to the servers; told hears of each.
	accepted atomic.Int64
	told     chan struct{}
}

func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c := &crowd{
		b: b, program: filepath.Join(b.TempDir(), "kubectl-backendtls"), dir: b.TempDir(),
		told: make(chan struct{}, 4*crowdAll),
	}
	build := exec.CommandContext(b.Context(), "go", "build", "-o", c.program, "../cmd/kubectl-backendtls")
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, output)
	}
	identity, err := pki.SelfSigned(pki.Request{
		Name: "crowd", DNS: []string{"crowd.example.com"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().AddDate(1, 0, 0),
	})
	if err != nil {
		b.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{identity.TLS()}, MinVersion: tls.VersionTLS13}
	addresses := map[types.NamespacedName]string{}
	objects := c.objects(c.copy("gateways.yaml", map[string]string{"@ca@": fmt.Sprintf("%q", identity.PEM())}))
	for i := range crowdServices {
		name := fmt.Sprintf("svc-%03d", i)
		values := map[string]string{"@name@": name}
		for j := range crowdReplicas {
			rest := fmt.Sprintf(".1.%d.%d", 1+3*(i/100)+j, 1+i%100)
			values[fmt.Sprintf("@address%d@", j)] = "127" + rest
			c.serve("127"+rest+":8443", config)
			pod := types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("%s-%d", name, j)}
			addresses[pod] = "127" + rest + ":8443"
		}
		// No EndpointSlice in a cluster has an address of loopback.
		objects = append(objects, c.objects(strings.ReplaceAll(c.copy("service.yaml", values), "127.1.", "10.1."))...)
	}
	c.api = apiservertest.New(b, objects...)
	c.pods = &kubelettest.Kubelet{Dial: func(ctx context.Context, pod types.NamespacedName, _ uint16) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addresses[pod])
	}}
	c.api.Forward = c.pods
	return c
}

// copy writes a file of the fixture into the directory of manifests, with values
// in place of their names, and returns what it wrote.
func (c *crowd) copy(name string, values map[string]string) string {
	c.b.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "crowd", name))
	if err != nil {
		c.b.Fatal(err)
	}
	text := string(content)
	for name, value := range values {
		text = strings.ReplaceAll(text, name, value)
	}
	if err := os.WriteFile(filepath.Join(c.dir, values["@name@"]+name), []byte(text), 0o600); err != nil {
		c.b.Fatal(err)
	}
	return text
}

// objects are those of a text.
func (c *crowd) objects(text string) []*unstructured.Unstructured {
	c.b.Helper()
	var objects []*unstructured.Unstructured
	for document := range strings.SplitSeq(text, "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			c.b.Fatal(err)
		}
		objects = append(objects, object)
	}
	return objects
}

// serve makes handshakes at an address.
func (c *crowd) serve(address string, config *tls.Config) {
	c.b.Helper()
	listener, err := new(net.ListenConfig).Listen(c.b.Context(), "tcp", address)
	if err != nil {
		c.b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.accepted.Add(1)
			c.told <- struct{}{}
			running.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, tls.Server(conn, config))
			})
		}
	})
	c.b.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
}

// crowdRun is what one run took.
type crowdRun struct {
	code           int
	stdout, stderr string
	took, cpu      time.Duration
	// peak is the most memory that was resident, in bytes.
	peak int64
	// interrupted is how long it took from Ctrl-C to the end.
	interrupted time.Duration
}

// fetch runs `fetch -A`; after so many connections it is interrupted, 0 for
// never.
func (c *crowd) fetch(interruptAfter int64, flags ...string) crowdRun {
	c.b.Helper()
	c.accepted.Store(0)
	for len(c.told) > 0 {
		<-c.told
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(c.b.Context(), c.program, append([]string{"fetch", "-A"}, flags...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+filepath.Join(c.b.TempDir(), "none"))
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		c.b.Fatal(err)
	}
	var pressed time.Time
	if interruptAfter > 0 {
		for c.accepted.Load() < interruptAfter {
			select {
			case <-c.told:
			case <-time.After(time.Minute):
				c.b.Fatalf("nothing happens: %s", stderr.String())
			}
		}
		pressed = time.Now()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			c.b.Fatal(err)
		}
	}
	ended, peak := make(chan struct{}), make(chan int64, 1)
	go func() { peak <- highWater(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		c.b.Fatal(err)
	}
	result := crowdRun{
		code: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), took: time.Since(begin),
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: <-peak,
	}
	if interruptAfter > 0 {
		result.interrupted = time.Since(pressed)
	}
	return result
}

// highWater is the most memory that was resident in a process, in bytes, looked
// at until it has ended. What wait(2) says counts that of the process from which
// it was started, too.
func highWater(process int, ended <-chan struct{}) (peak int64) {
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
		for line := range strings.Lines(string(status)) {
			var kilobytes int64
			if _, bad := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil && bad == nil {
				peak = max(peak, kilobytes<<10)
			}
		}
		select {
		case <-ended:
			return peak
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// BenchmarkFetchOfACrowd fetches the certificates of 1,500 endpoints by the
// program itself, both ways, and interrupts it in the middle.
func BenchmarkFetchOfACrowd(b *testing.B) {
	c := newCrowd(b)
	for way, flags := range map[string][]string{
		"port-forward": {"--server", c.api.URL},
		"direct":       {"-f", c.dir},
	} {
		b.Run(way, func(b *testing.B) {
			for b.Loop() {
				before := c.upgraded()
				result := c.fetch(0, flags...)
				if lines := strings.Count(result.stdout, "crowd"); result.code != command.Done || lines != crowdAll {
					b.Fatalf("exit code %d, %d certificates: %s", result.code, lines, result.stderr)
				}
				b.ReportMetric(result.took.Seconds(), "s")
				b.ReportMetric(result.cpu.Seconds(), "s-CPU")
				b.ReportMetric(float64(result.peak)/(1<<20), "MiB-peak")
				b.ReportMetric(float64(c.accepted.Load()), "handshakes")
				if tunnels := c.upgraded() - before; tunnels > 0 {
					b.ReportMetric(float64(tunnels), "tunnels")
					b.ReportMetric(float64(c.pods.Most()), "tunnels-at-once")
				}
				b.ReportMetric(0, "ns/op")
			}
		})
		b.Run(way+"-interrupted", func(b *testing.B) {
			for b.Loop() {
				result := c.fetch(crowdAll/3, flags...)
				lines := strings.Count(result.stdout, "crowd")
				said := fmt.Sprintf("error: interrupted: %d of %d endpoints asked\n", lines, crowdAll)
				if result.code != command.Interrupted || result.stderr != said || lines < crowdAll/3-100 {
					b.Fatalf("exit code %d, %d certificates: %s", result.code, lines, result.stderr)
				}
				b.ReportMetric(float64(result.interrupted.Milliseconds()), "ms-to-end")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

// upgraded is how many upgraded connections there were so far.
func (c *crowd) upgraded() int {
	n := 0
	for i := range crowdServices {
		for j := range crowdReplicas {
			n += c.pods.Connections(types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("svc-%03d-%d", i, j)})
		}
	}
	return n
}
