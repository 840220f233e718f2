package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/command"
)

// written is what a command has printed so far.
type written struct {
	lock   sync.Mutex
	buffer bytes.Buffer
}

func (w *written) Write(data []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.buffer.Write(data)
}

func (w *written) String() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return w.buffer.String()
}

// watch is a command line that goes on.
type watch struct {
	t           *testing.T
	out, errOut written
	interrupt   context.CancelFunc
	ended       chan int
}

// watch begins a command line.
func (b *bench) watch(args ...string) *watch {
	b.t.Helper()
	ctx, interrupt := context.WithCancel(b.t.Context())
	w := &watch{t: b.t, interrupt: interrupt, ended: make(chan int, 1)}
	b.t.Cleanup(interrupt)
	go func() {
		w.ended <- run(ctx, args, command.Options{
			In: b.stdin, Out: &w.out, ErrOut: &w.errOut, Program: "kubectl backendtls",
			Now: func() time.Time { return now }, Dial: b.dial, Readings: b.readings,
		})
	}()
	return w
}

// await waits until it has printed so many lines, or documents, that begin so.
func (w *watch) await(n int, begin string) []string {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		var lines []string
		for line := range strings.Lines(w.out.String()) {
			if strings.HasPrefix(line, begin) {
				lines = append(lines, line)
			}
		}
		switch {
		case len(lines) >= n:
			return lines
		case time.Now().After(deadline):
			w.t.Fatalf("%d lines begin with %q, not %d:\n%s%s", len(lines), begin, n, w.out.String(), w.errOut.String())
		}
	}
}

// end interrupts it, and is its exit code.
func (w *watch) end() int {
	w.t.Helper()
	w.interrupt()
	return w.code()
}

func (w *watch) code() int {
	w.t.Helper()
	select {
	case code := <-w.ended:
		return code
	case <-time.After(time.Minute):
		w.t.Fatal("it does not end")
		return -1
	}
}

// replace changes a file at once: whoever watches it never sees half of it.
func (b *bench) replace(path, old, replacement string) {
	b.t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		b.t.Fatalf("%s has no %q", path, old)
	}
	replaced := filepath.Join(b.t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(replaced, []byte(strings.ReplaceAll(string(content), old, replacement)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(replaced, path); err != nil {
		b.t.Fatal(err)
	}
}

func TestWatchPrintsATableAndThenTheRowsThatChange(t *testing.T) {
	b := newBench(t, "shop")
	w := b.watch("inspect", "-w", "-f", "shop")
	rows := len(w.await(1, "svc/multi:8443"))
	w.await(1, "SERVICE")
	b.replace("shop/api.yaml", "hostname: api.example.com", "hostname: other.example.com")
	lines := w.await(2, "svc/api:443")
	if lines[0] == lines[1] {
		t.Errorf("the row has not changed: %q", lines)
	}
	if err := os.Remove("shop/api.yaml"); err != nil {
		t.Fatal(err)
	}
	lines = w.await(3, "svc/api:443")
	if !strings.Contains(lines[len(lines)-1], " gone ") {
		t.Errorf("the last row is %q", lines[len(lines)-1])
	}
	if code := w.end(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if headers := w.await(1, "SERVICE"); len(headers) != 1 || len(w.await(1, "svc/multi:8443")) != rows {
		t.Errorf("what does not change is printed again:\n%s", w.out.String())
	}
}

func TestWatchOfOneServiceShowsNothingElse(t *testing.T) {
	b := newBench(t, "shop")
	w := b.watch("inspect", "svc/api", "--watch", "-o", "name", "-f", "shop")
	w.await(1, "svc/api:443")
	b.replace("shop/good.yaml", "hostname: good.example.com", "hostname: other.example.com")
	b.replace("shop/api.yaml", "hostname: api.example.com", "hostname: other.example.com")
	w.await(2, "svc/api:443")
	w.end()
	if strings.Contains(w.out.String(), "good") {
		t.Errorf("got\n%s", w.out.String())
	}
}

func TestWatchPrintsADocumentForEachChange(t *testing.T) {
	b := newBench(t, "shop")
	w := b.watch("inspect", "-w", "-A", "-o", "json", "-f", "shop")
	w.await(1, "}")
	b.replace("shop/api.yaml", "hostname: api.example.com", "hostname: other.example.com")
	w.await(2, "}")
	w.end()
	decoder := json.NewDecoder(strings.NewReader(w.out.String()))
	var first, second cliv1alpha1.PathList
	if err := decoder.Decode(&first); err != nil {
		t.Fatal(err)
	}
	if err := decoder.Decode(&second); err != nil {
		t.Fatal(err)
	}
	if len(first.Items) < 10 || len(second.Items) != 1 || second.Items[0].Policy.Trust.SNI != "other.example.com" ||
		second.Kind != "PathList" {
		t.Errorf("got %d paths, and then %+v", len(first.Items), second)
	}

	w = b.watch("inspect", "-w", "-A", "-o", "yaml", "-f", "shop")
	w.await(1, "kind:")
	b.replace("shop/api.yaml", "hostname: other.example.com", "hostname: third.example.com")
	w.await(2, "kind:")
	w.end()
	for document := range strings.SplitSeq(w.out.String(), "\n---\n") {
		if err := yaml.UnmarshalStrict([]byte(document), &cliv1alpha1.PathList{}); err != nil {
			t.Errorf("%v in\n%s", err, document)
		}
	}
}

func TestWatchSaysWhatIsWrongAtOnceAndGoesOnAfterwards(t *testing.T) {
	b := newBench(t, "shop")
	w := b.watch("inspect", "svc/nothing", "-w", "-f", "shop")
	if code := w.code(); code != 1 || !strings.Contains(w.errOut.String(), "svc/nothing") {
		t.Errorf("exit code %d:\n%s", code, w.errOut.String())
	}
	w = b.watch("inspect", "-w", "--probe", "-f", "shop")
	if code := w.code(); code != 1 || !strings.Contains(w.errOut.String(), "--probe and --watch contradict") {
		t.Errorf("exit code %d:\n%s", code, w.errOut.String())
	}

	w = b.watch("inspect", "-w", "svc/api", "-f", "shop")
	w.await(1, "svc/api:443")
	if err := os.WriteFile("shop/broken.yaml", []byte("kind: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.replace("shop/api.yaml", "hostname: api.example.com", "hostname: other.example.com")
	w.await(2, "svc/api:443")
	w.end()
	if n := strings.Count(w.errOut.String(), "shop/broken.yaml"); n != 1 {
		t.Errorf("the problem is said %d times:\n%s", n, w.errOut.String())
	}
}

func TestWatchFollowsACluster(t *testing.T) {
	d := newClusterDesk(t)
	w := d.watch("inspect", "-w", "svc/good", "-o", "jsonpath={.items[*].policy.trust.sni}", "--server", d.api.URL)
	w.await(1, "good.")
	policy := d.api.Get("backendtlspolicies", "default", "good")
	if err := unstructured.SetNestedField(policy.Object, "changed.example.com", "spec", "validation", "hostname"); err != nil {
		t.Fatal(err)
	}
	if err := d.api.Put(policy, "kubectl"); err != nil {
		t.Fatal(err)
	}
	w.await(1, "changed.example.com\n")
	if code := w.end(); code != 130 {
		t.Errorf("exit code %d:\n%s", code, w.errOut.String())
	}
}
