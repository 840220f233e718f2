package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

// hostname is what policies of the tests ask for.
const hostname = "api.example.com"

// space is a namespace of one test, in which a team has a Gateway, a route, a
// Service with pods that speak TLS, and a policy.
type space struct {
	*testing.T

	name string
}

// newSpace makes a namespace that goes with the test.
func newSpace(t *testing.T) *space {
	t.Helper()
	namespace := &corev1.Namespace{
		GenerateName: "test-",
		Labels:       map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}
	if err := here.client.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	s := &space{T: t, name: namespace.Name}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			s.tell(ctx)
		}
		// What is in it takes its time to end, and disturbs nobody.
		if _, err := here.run(ctx, "delete", "namespace", s.name, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tell logs what an investigation would begin with.
func (s *space) tell(ctx context.Context) {
	for _, arguments := range [][]string{
		{"get", "pods,services,gateways,httproutes,backendtlspolicies", "-n", s.name, "-o", "wide"},
		{"get", "gateways,httproutes,backendtlspolicies", "-n", s.name, "-o", "yaml"},
		{"get", "events", "-n", s.name, "--sort-by=.lastTimestamp"},
		{"logs", "-n", s.name, "-l", "app.kubernetes.io/name=backendtls-envoy", "--tail=15", "--prefix", "--all-containers"},
		{"get", "pods", "-n", system, "-o", "wide"},
		{"logs", "-n", system, "-l", "app.kubernetes.io/name=backendtls-operator", "--tail=40", "--prefix"},
	} {
		output, err := here.run(ctx, arguments...)
		s.Logf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// apply applies a file of testdata, filled with values.
func (s *space) apply(file string, values map[string]any) {
	s.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		s.Fatal(err)
	}
	indent := func(n int, text string) string {
		return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+strings.Repeat(" ", n))
	}
	parsed, err := template.New(file).Option("missingkey=error").Funcs(template.FuncMap{"indent": indent}).Parse(string(content))
	if err != nil {
		s.Fatal(err)
	}
	var manifest bytes.Buffer
	if err := parsed.Execute(&manifest, values); err != nil {
		s.Fatal(err)
	}
	if _, err := here.feed(s.Context(), manifest.String(),
		"apply", "--server-side", "--force-conflicts", "--field-manager=test", "-n", s.name, "-f", "-"); err != nil {
		s.Fatal(err)
	}
}

// key names an object of the namespace.
func (s *space) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: s.name, Name: name}
}

// backend gives the pods of Deployment api a certificate; they take it when
// they start.
func (s *space) certificate(identity *pki.Identity) {
	s.Helper()
	key, err := identity.KeyPEM()
	if err != nil {
		s.Fatal(err)
	}
	s.apply("certificate.yaml", map[string]any{"Chain": string(identity.ChainPEM()), "Key": string(key)})
}

// rollout waits until a Deployment has all its pods, and none of before.
func (s *space) rollout(deployment string) {
	s.Helper()
	if _, err := here.run(s.Context(), "rollout", "status", "-n", s.name, "deployment/"+deployment, "--timeout=180s"); err != nil {
		s.Fatal(err)
	}
}

// condition is one of the conditions of policy api on Gateway web.
func (s *space) condition(kind string) *metav1.Condition {
	s.Helper()
	var policy gatewayv1.BackendTLSPolicy
	if err := here.client.Get(s.Context(), s.key("api"), &policy); err != nil {
		return nil
	}
	for _, ancestor := range policy.Status.Ancestors {
		if string(ancestor.ControllerName) != "backendtls.dev/gateway-controller" {
			continue
		}
		for i := range ancestor.Conditions {
			if found := &ancestor.Conditions[i]; found.Type == kind && found.ObservedGeneration == policy.Generation {
				return found
			}
		}
	}
	return nil
}

// expect waits until a condition of policy api has a status and a reason.
func (s *space) expect(within time.Duration, kind string, status metav1.ConditionStatus, reason string) {
	s.Helper()
	eventually(s.T, within, fmt.Sprintf("%s=%s/%s", kind, status, reason), func() string {
		condition := s.condition(kind)
		switch {
		case condition == nil:
			return "the condition is not there at the policy's generation"
		case condition.Status != status || condition.Reason != reason:
			return fmt.Sprintf("it is %s/%s: %s", condition.Status, condition.Reason, condition.Message)
		}
		return ""
	})
}

// address waits for the address of Gateway web.
func (s *space) address() string {
	s.Helper()
	var gateway gatewayv1.Gateway
	eventually(s.T, time.Minute, "Gateway web has an address", func() string {
		if err := here.client.Get(s.Context(), s.key("web"), &gateway); err != nil {
			return err.Error()
		}
		if len(gateway.Status.Addresses) == 0 {
			return "status.addresses is empty"
		}
		return ""
	})
	return gateway.Status.Addresses[0].Value
}

// endpoints waits until Service api has so many ready endpoints. Finding them is
// the controller manager's: it may need a minute after the API server was away.
func (s *space) endpoints(want int) {
	s.Helper()
	eventually(s.T, 90*time.Second, fmt.Sprintf("Service api has %d endpoints", want), func() string {
		var list discoveryv1.EndpointSliceList
		labels := client.MatchingLabels{discoveryv1.LabelServiceName: "api"}
		if err := here.client.List(s.Context(), &list, client.InNamespace(s.name), labels); err != nil {
			return err.Error()
		}
		ready := 0
		for i := range list.Items {
			for _, endpoint := range list.Items[i].Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}
		if ready < want {
			return fmt.Sprintf("%d are ready", ready)
		}
		return ""
	})
}

// status is what a client of the Gateway gets over a connection of its own, 0
// for no answer.
func (s *space) status(address string) int {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "http://"+address+"/", http.NoBody)
	if err != nil {
		s.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// answers waits until a client gets the status.
func (s *space) answers(within time.Duration, address string, want int) {
	s.Helper()
	eventually(s.T, within, fmt.Sprintf("a client gets %d", want), func() string {
		if got := s.status(address); got != want {
			return fmt.Sprintf("it gets %d", got)
		}
		return ""
	})
}

// pods are the names of the pods with a label, in namespace in, sorted.
func pods(ctx context.Context, in, name string) ([]corev1.Pod, error) {
	var list corev1.PodList
	err := here.client.List(ctx, &list, client.InNamespace(in), client.MatchingLabels{"app.kubernetes.io/name": name})
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return list.Items, err
}

// scale sets the replicas of a Deployment.
func scale(ctx context.Context, deployment types.NamespacedName, replicas int32) error {
	var object appsv1.Deployment
	if err := here.client.Get(ctx, deployment, &object); err != nil {
		return err
	}
	patch := client.MergeFrom(object.DeepCopy())
	object.Spec.Replicas = new(replicas)
	return here.client.Patch(ctx, &object, patch)
}
