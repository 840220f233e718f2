package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// named is how many Services with a policy are named.
const named = 50

// BenchmarkStartOfThePlugin compares `inspect -A -o name` with what kubectl takes
// to name the policies, in turns, so that both see the same machine. It is no
// test: `make figures` runs it.
func BenchmarkStartOfThePlugin(b *testing.B) {
	var manifest strings.Builder
	for i := range named {
		fmt.Fprintf(&manifest, `---
apiVersion: v1
kind: Service
metadata: {name: svc-%[1]d}
spec: {ports: [{port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: svc-%[1]d}
spec:
  targetRefs: [{group: "", kind: Service, name: svc-%[1]d}]
  validation: {hostname: svc.example.com, wellKnownCACertificates: System}
`, i)
	}
	namespace := fmt.Sprintf("test-start-%d", time.Now().UnixNano())
	if _, err := here.run(b.Context(), "create", "namespace", namespace); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if _, err := here.run(context.WithoutCancel(b.Context()), "delete", "namespace", namespace, "--wait=false"); err != nil {
			b.Error(err)
		}
	})
	if _, err := here.feed(b.Context(), manifest.String(), "apply", "--server-side", "-n", namespace, "-f", "-"); err != nil {
		b.Fatal(err)
	}
	plugin := []string{filepath.Join(here.bin, "kubectl-backendtls"), "inspect", "-A", "-o", "name"}
	kubectl := []string{here.kubectl, "get", "backendtlspolicies.gateway.networking.k8s.io", "-A", "-o", "name"}
	const turns = 21
	for b.Loop() {
		var ours, theirs []time.Duration
		for range turns {
			ours = append(ours, lasts(b, plugin))
			theirs = append(theirs, lasts(b, kubectl))
		}
		slices.Sort(ours)
		slices.Sort(theirs)
		b.ReportMetric(float64(ours[turns/2].Microseconds())/1e3, "ms-inspect")
		b.ReportMetric(float64(theirs[turns/2].Microseconds())/1e3, "ms-kubectl-get")
		b.ReportMetric(ours[turns/2].Seconds()/theirs[turns/2].Seconds(), "ratio")
		b.ReportMetric(0, "ns/op")
	}
}

// lasts is how long a command takes.
func lasts(b *testing.B, arguments []string) time.Duration {
	b.Helper()
	command := exec.CommandContext(b.Context(), arguments[0], arguments[1:]...)
	command.Env = append(os.Environ(), "KUBECONFIG="+here.kubeconfig)
	begin := time.Now()
	output, err := command.CombinedOutput()
	took := time.Since(begin)
	if err != nil || bytes.Count(output, []byte("svc-")) < named {
		b.Fatalf("%v: %v: %s", arguments, err, output)
	}
	return took
}
