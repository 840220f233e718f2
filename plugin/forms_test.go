package plugin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/plugin/command"
	"github.com/backendtls/backendtls/test/leak"
)

func TestFormsOfOutput(t *testing.T) {
	b := newShop(t)
	for name, text := range map[string]string{
		"names.jsonpath": `{range .items[*]}{.service.name}{"\n"}{end}`,
		"names.tmpl":     `{{range .items}}{{.service.namespace}}/{{.service.name}}{{"\n"}}{{end}}`,
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ name, line string }{
		{"form-inspect-kyaml", "inspect svc/good -o kyaml -f shop"},
		{"form-inspect-name", "inspect -l app=api -o name -f shop"},
		{"form-inspect-jsonpath-file", "inspect -o jsonpath-file=names.jsonpath -f shop"},
		{"form-inspect-template-file", "inspect -A -o go-template-file=names.tmpl -f shop"},
		{"form-fetch-jsonpath", "fetch svc/mixed -o jsonpath={.items[*].chain[0].spkiSHA256} -f shop"},
		{"form-fetch-jsonpath-as-json", "fetch svc/mixed -o jsonpath-as-json={.items[*].pod} -f shop"},
		{"form-fetch-template", "fetch -A -o go-template={{len$.items}} -f shop"},
		{"form-fetch-name", "fetch -A -o name -f shop"},
		{"form-fetch-kyaml", "fetch -l app=empty -o kyaml -f shop"},
		{"form-verify-name", "verify -l app=api -o name -f shop"},
		{"form-verify-template", "verify -A -o go-template-file=names.tmpl -f shop"},
	} {
		t.Run(test.name, func(t *testing.T) {
			line := strings.Fields(test.line)
			for i, word := range line {
				line[i] = strings.ReplaceAll(word, "{{len$", "{{len $")
			}
			b.golden(t, test.name, line...)
		})
	}
}

// TestNamesOfAllNamespacesAreArguments: each line is what to type after a verb.
func TestNamesOfAllNamespacesAreArguments(t *testing.T) {
	b := newShop(t)
	_, stdout, _ := b.run("inspect", "-A", "-o", "name", "-f", "shop")
	lines := 0
	for line := range strings.Lines(stdout) {
		lines++
		code, stdout, stderr := b.run(append([]string{"inspect", "--no-probe", "-f", "shop"}, strings.Fields(line)...)...)
		if code != 0 || !strings.HasPrefix(stdout, strings.Fields(line)[0]) {
			t.Errorf("inspect %sexit code %d: %s%s", line, code, stdout, stderr)
		}
	}
	if lines < 15 {
		t.Errorf("only %d names:\n%s", lines, stdout)
	}
}

// TestWhatWasFetchedUntilAnInterruptionIsPrinted and marked, at once, and nothing
// is left running.
func TestWhatWasFetchedUntilAnInterruptionIsPrinted(t *testing.T) {
	leak.Watch(t)
	for _, way := range []string{"direct", "port-forward"} {
		for _, line := range []string{
			"fetch -A -o json", "fetch -A", "verify -A -o json", "inspect -A --probe -o json", "fetch svc/api svc/good",
		} {
			t.Run(way+" "+line, func(t *testing.T) {
				code, stdout, stderr := interrupted(t, way, line)
				var asked, of int
				last := strings.TrimSpace(stderr[strings.LastIndex(strings.TrimSpace(stderr), "\n")+1:])
				if _, err := fmt.Sscanf(last, "error: interrupted: %d of %d endpoints asked", &asked, &of); err != nil ||
					asked == 0 || asked >= of {
					t.Errorf("stderr %q", stderr)
				}
				if code != command.Interrupted {
					t.Errorf("exit code %d", code)
				}
				if !strings.Contains(stdout, "api-0") || strings.Contains(stdout, "canceled") {
					t.Errorf("stdout:\n%s", stdout)
				}
				if strings.Contains(line, "json") {
					var list struct{ Interrupted bool }
					if err := json.Unmarshal([]byte(stdout), &list); err != nil || !list.Interrupted {
						t.Errorf("not marked: %v\n%s", err, stdout)
					}
				}
			})
		}
	}
}

// interrupted runs a command line until two endpoints have answered and one is
// silent. Nobody outside sees when an answer is noted: where a busy machine took
// longer than was waited, it is done again with more patience.
func interrupted(t *testing.T, way, line string) (code int, stdout, stderr string) {
	t.Helper()
	for _, patience := range []time.Duration{100 * time.Millisecond, time.Second, 10 * time.Second} {
		t.Run(patience.String(), func(t *testing.T) {
			code, stdout, stderr = interruptedAfter(t, way, line, patience)
		})
		if strings.Contains(stdout, "api-0") {
			break
		}
	}
	return code, stdout, stderr
}

func interruptedAfter(t *testing.T, way, line string, patience time.Duration) (code int, stdout, stderr string) {
	t.Helper()
	s := newClusterShop(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	hold, served := make(chan struct{}, 8), make(chan struct{}, 8)
	s.listen(func(conn net.Conn) {
		hold <- struct{}{}
		_, _ = conn.Read(make([]byte, 1<<16)) // The hello; there is no answer.
		_, _ = conn.Read(make([]byte, 1))
	}, "10.0.15.1:8443")
	config := &tls.Config{Certificates: []tls.Certificate{s.identity("api")}, MinVersion: tls.VersionTLS13}
	s.listen(func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, tls.Server(conn, config))
		served <- struct{}{}
	}, "10.0.1.1:8443", "10.0.1.2:8443")
	answered := make(chan struct{})
	go func() { // Ctrl-C once one is silent and two have been asked.
		defer close(answered)
		<-hold
		<-served
		<-served
		time.Sleep(patience)
		interrupt()
	}()
	args := append(strings.Fields(line), "--probe-timeout", "1h")
	if way == "direct" {
		args = append(args, "-f", "shop")
	} else {
		args = append(args, "--server", s.api.URL)
	}
	code, stdout, stderr = s.runContext(ctx, args...)
	<-answered
	s.pods.Wait()
	return code, stdout, stderr
}
