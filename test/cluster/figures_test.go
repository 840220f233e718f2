package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

const (
	// crowd is how many policies the operator is measured with.
	crowd = 1000
	// calm is how long nothing happens before and while it is measured.
	calm = 20 * time.Second
	// tick is the unit of times in /proc (USER_HZ of proc_pid_stat(5)).
	tick = time.Second / 100
)

// BenchmarkOperatorInACluster measures the operator as it is installed: idle,
// and with many policies. It is no test: `make figures` runs it, alone.
func BenchmarkOperatorInACluster(b *testing.B) {
	for b.Loop() {
		info, err := os.Stat(root + "/.build/images/operator.tar")
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB-image")
		report(b, "idle")
		begin(b, "idle")
		namespace, whole, last := crowded(b)
		b.ReportMetric(whole.Seconds(), "s-all-programmed")
		b.ReportMetric(last.Seconds(), "s-all-programmed-after-last")
		report(b, "policies")
		begin(b, "policies")
		if _, err := here.run(b.Context(), "delete", "namespace", namespace, "--wait=false"); err != nil {
			b.Fatal(err)
		}
	}
}

// report measures both replicas over a calm while.
func report(b *testing.B, when string) {
	b.Helper()
	time.Sleep(calm)
	before := replicas(b)
	time.Sleep(calm)
	for i, after := range replicas(b) {
		who := fmt.Sprintf("%s-replica-%d", when, i+1)
		b.ReportMetric(float64(after.resident)/(1<<20), "MiB-RSS-"+who)
		b.ReportMetric(float64(after.private)/(1<<20), "MiB-private-"+who)
		b.ReportMetric(float64(after.peak)/(1<<20), "MiB-peak-"+who)
		b.ReportMetric(1000*(after.cpu-before[i].cpu).Seconds()/calm.Seconds(), "mCPU-"+who)
	}
}

// replica is what the kernel says of a replica's process.
type replica struct {
	// private is resident without the pages of the program itself, which both
	// replicas share and the kernel may drop.
	resident, private, peak int64
	cpu                     time.Duration
	started                 time.Time
}

func replicas(b *testing.B) []replica {
	b.Helper()
	all, err := pods(b.Context(), system, "backendtls-operator")
	if err != nil || len(all) != 2 {
		b.Fatalf("%d replicas, %v", len(all), err)
	}
	measured := make([]replica, len(all))
	for i := range all {
		if measured[i], err = measure(all[i].Name); err != nil {
			b.Fatal(err)
		}
	}
	return measured
}

// measure reads /proc of the replica in a pod.
func measure(pod string) (r replica, err error) {
	ids, err := processes(pod, "backendtls-operator")
	if err != nil || len(ids) != 1 {
		return r, fmt.Errorf("the processes of the operator in pod %s are %v (%w), want one", pod, ids, err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", ids[0]))
	if err != nil {
		return r, err
	}
	for line := range strings.Lines(string(status)) {
		for name, into := range map[string]*int64{
			"VmRSS:": &r.resident, "RssAnon:": &r.private, "VmHWM:": &r.peak,
		} {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == name {
				kilobytes, err := strconv.ParseInt(fields[1], 10, 64)
				if err != nil {
					return r, err
				}
				*into = kilobytes << 10
			}
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", ids[0]))
	if err != nil {
		return r, err
	}
	// Fields 14, 15 and 22, counted from the one after the name in parentheses.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks [3]int64
	for i, field := range []int{11, 12, 19} {
		if ticks[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
			return r, err
		}
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return r, err
	}
	up, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if err != nil {
		return r, err
	}
	r.cpu = time.Duration(ticks[0]+ticks[1]) * tick
	booted := time.Now().Add(-time.Duration(up * float64(time.Second)))
	r.started = booted.Add(time.Duration(ticks[2]) * tick)
	return r, nil
}

// begin replaces a replica and measures how long the new one takes from the
// start of its process until it serves xDS.
func begin(b *testing.B, when string) {
	b.Helper()
	all, err := pods(b.Context(), system, "backendtls-operator")
	if err != nil {
		b.Fatal(err)
	}
	known := map[string]bool{}
	for i := range all {
		known[all[i].Name] = true
	}
	if err := here.client.Delete(b.Context(), &all[0]); err != nil {
		b.Fatal(err)
	}
	if _, err := here.run(b.Context(), "wait", "-n", system, "--for=delete", "pod/"+all[0].Name, "--timeout=60s"); err != nil {
		b.Fatal(err)
	}
	if _, err := here.run(b.Context(), "rollout", "status", "-n", system, "deployment/backendtls-operator", "--timeout=60s"); err != nil {
		b.Fatal(err)
	}
	if all, err = pods(b.Context(), system, "backendtls-operator"); err != nil {
		b.Fatal(err)
	}
	for i := range all {
		if known[all[i].Name] {
			continue
		}
		r, err := measure(all[i].Name)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(served(b, all[i].Name).Sub(r.started).Seconds(), "s-to-first-xDS-"+when)
	}
}

// served is when a replica began to serve xDS.
func served(b *testing.B, pod string) time.Time {
	b.Helper()
	log, err := here.run(b.Context(), "logs", "-n", system, pod)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(log) {
		var said struct {
			Time time.Time
			Msg  string
		}
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "serving xDS" {
			return said.Time
		}
	}
	b.Fatalf("replica %s does not serve xDS", pod)
	return time.Time{}
}

// crowded makes a Gateway with many Services, routes and policies. It returns
// how long it took from the first and from the last until all were programmed.
func crowded(b *testing.B) (namespace string, whole, last time.Duration) {
	b.Helper()
	created := &corev1.Namespace{}
	created.GenerateName = "test-"
	if err := here.client.Create(b.Context(), created); err != nil {
		b.Fatal(err)
	}
	namespace = created.Name
	from, to := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	authority, err := pki.SelfSigned(pki.Request{Name: "CA of the team", CA: true, NotBefore: from, NotAfter: to})
	if err != nil {
		b.Fatal(err)
	}
	gateway := &gatewayv1.Gateway{Spec: gatewayv1.GatewaySpec{
		GatewayClassName: "backendtls",
		Listeners:        []gatewayv1.Listener{{Name: "http", Protocol: gatewayv1.HTTPProtocolType, Port: 80}},
	}}
	gateway.Namespace, gateway.Name = namespace, "web"
	ca := &corev1.ConfigMap{Data: map[string]string{"ca.crt": string(authority.PEM())}}
	ca.Namespace, ca.Name = namespace, "ca"
	began := time.Now()
	for _, object := range []client.Object{gateway, ca} {
		if err := here.client.Create(b.Context(), object); err != nil {
			b.Fatal(err)
		}
	}
	create(b, namespace)
	made := time.Now()
	for {
		if n := inForce(b, namespace); n == crowd {
			return namespace, time.Since(began), time.Since(made)
		} else if time.Since(made) > 5*time.Minute {
			b.Fatalf("%d of %d policies are programmed after %s", n, crowd, time.Since(made))
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// create makes the Services, routes and policies, several at a time.
func create(b *testing.B, namespace string) {
	b.Helper()
	turns := make(chan int, crowd)
	for i := range crowd {
		turns <- i
	}
	close(turns)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range turns {
				for _, object := range member(namespace, fmt.Sprintf("api-%d", i)) {
					if err := here.client.Create(b.Context(), object); err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	all.Wait()
}

// member is a Service with its route and its policy.
func member(namespace, name string) []client.Object {
	service := &corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "https", Port: 443}}}}
	route := &gatewayv1.HTTPRoute{}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "web"}}
	route.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(name + ".example.com")}
	backend := gatewayv1.HTTPBackendRef{}
	backend.Name, backend.Port = gatewayv1.ObjectName(name), new(gatewayv1.PortNumber(443))
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{backend}}}
	policy := &gatewayv1.BackendTLSPolicy{}
	target := gatewayv1.LocalPolicyTargetReferenceWithSectionName{}
	target.Kind, target.Name = "Service", gatewayv1.ObjectName(name)
	policy.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{target}
	policy.Spec.Validation.Hostname = hostname
	policy.Spec.Validation.CACertificateRefs = []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}}
	for _, object := range []client.Object{service, route, policy} {
		object.SetNamespace(namespace)
		object.SetName(name)
	}
	return []client.Object{service, route, policy}
}

// inForce counts the policies that are in force.
func inForce(b *testing.B, namespace string) (n int) {
	b.Helper()
	var list gatewayv1.BackendTLSPolicyList
	if err := here.client.List(b.Context(), &list, client.InNamespace(namespace)); err != nil {
		b.Fatal(err)
	}
	for i := range list.Items {
		for _, ancestor := range list.Items[i].Status.Ancestors {
			if meta.IsStatusConditionTrue(ancestor.Conditions, "Programmed") {
				n++
			}
		}
	}
	return n
}
