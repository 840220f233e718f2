package cluster

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
)

// TestWhatIsSeenOfAMode looks at a mode from beginning to end, and over a change
// of leader, as whoever watches over a cluster does: by Events and metrics.
func TestWhatIsSeenOfAMode(t *testing.T) {
	team, _, _ := newTeam(t, 1)
	where := fmt.Sprintf(`gateway="web",gateway_namespace=%q,`, team.name)
	envoys := func(state string) string {
		return fmt.Sprintf(`backendtls_gateway_envoys{%sstate=%q}`, where, state)
	}
	eventually(t, time.Minute, "both Envoys are counted as having everything", func() string {
		if expected, has := team.metric(envoys("expected")), team.metric(envoys("acknowledged")); expected != 2 || has != 2 {
			return fmt.Sprintf("%v of %v", has, expected)
		}
		return ""
	})
	now := time.Now().UTC()
	team.options(map[string]string{
		edit.OptionMode: "InsecureSkipVerification", edit.OptionReason: "a test",
		edit.OptionSince: now.Format(time.RFC3339), edit.OptionUntil: now.Add(30 * time.Minute).Format(time.RFC3339),
	})
	team.expect(time.Minute, "SecurityDegraded", metav1.ConditionTrue, "VerificationSkipped")
	team.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	team.told("Warning VerificationSkipped")
	degraded := fmt.Sprintf(`backendtls_policy_degraded{%smode="InsecureSkipVerification",name="api",namespace=%q}`,
		where, team.name)
	eventually(t, time.Minute, "the policy counts as degraded once", func() string {
		if got := team.metric(degraded); got != 1 {
			return fmt.Sprintf("it does %v times", got)
		}
		return ""
	})
	// The next leader looks at everything, and tells of nothing again.
	first := (&life{space: team}).leader()
	if err := here.client.Delete(t.Context(), &corev1.Pod{Namespace: system, Name: first}); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "another replica leads, and counts it", func() string {
		if next := (&life{space: team}).leader(); next == first {
			return next + " still does"
		}
		if got := team.metric(degraded); got != 1 {
			return fmt.Sprintf("it counts as degraded %v times", got)
		}
		return ""
	})
	team.options(nil)
	team.expect(time.Minute, "SecurityDegraded", metav1.ConditionFalse, "Strict")
	team.told("Normal Strict", "Warning VerificationSkipped")
}

// told waits until these are the Events about policy api, each once.
func (s *space) told(want ...string) {
	s.Helper()
	eventually(s.T, time.Minute, fmt.Sprintf("the Events are %q", want), func() string {
		var list eventsv1.EventList
		if err := here.client.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
			return err.Error()
		}
		var got []string
		for i := range list.Items {
			event := &list.Items[i]
			if event.Regarding.Kind != "BackendTLSPolicy" {
				continue
			}
			got = append(got, event.Type+" "+event.Reason)
			if event.ReportingController != "backendtls.dev/gateway-controller" || event.Related == nil ||
				event.Related.Name != "web" || event.Series != nil {
				s.Errorf("Event %+v", event)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("they are %q", got)
		}
		return ""
	})
}

// metric is the sum of a series over all replicas of the operator, as Prometheus
// would have it.
func (s *space) metric(series string) (sum float64) {
	s.Helper()
	all, err := pods(s.Context(), system, operatorPods)
	if err != nil {
		s.Fatal(err)
	}
	for i := range all {
		// One that has just ended has nothing to say.
		text, err := here.run(s.Context(), "get", "--raw",
			"/api/v1/namespaces/"+system+"/pods/"+all[i].Name+":8080/proxy/metrics")
		found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(text)
		if err != nil || found == nil {
			continue
		}
		value, err := strconv.ParseFloat(found[1], 64)
		if err != nil {
			s.Fatal(err)
		}
		sum += value
	}
	return sum
}

// TestAGatewaySaysHowItsEnvoysAreRun within what is a Gateway's own to say: what
// is the class's alone has no effect.
func TestAGatewaySaysHowItsEnvoysAreRun(t *testing.T) {
	team, _, _ := newTeam(t, 1)
	parameters := &v1alpha1.GatewayParameters{}
	if err := here.client.Get(t.Context(), team.key("web"), parameters); err != nil {
		t.Fatal(err)
	}
	patch := `{"spec":{"envoy":{"replicas":1,"logLevel":"info","image":"example.com/another:1",
		"resources":{"requests":{"cpu":"20m"},"limits":{"memory":"300Mi"}},
		"service":{"type":"NodePort","annotations":{"example.com/cost":"much"}},
		"podTemplate":{"spec":{"priorityClassName":"system-node-critical"}}}}}`
	if err := here.client.Patch(t.Context(), parameters, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "the Deployment is as the Gateway says", func() string {
		deployment := &appsv1.Deployment{}
		if err := here.client.Get(t.Context(), team.key("backendtls-web"), deployment); err != nil {
			return err.Error()
		}
		spec := &deployment.Spec.Template.Spec
		container := spec.Containers[0]
		switch arguments := strings.Join(container.Args, " "); {
		case *deployment.Spec.Replicas != 1:
			return fmt.Sprintf("%d replicas", *deployment.Spec.Replicas)
		case !strings.Contains(arguments, "--log-level info"):
			return arguments
		case container.Resources.Requests.Cpu().String() != "20m":
			return "requests " + container.Resources.Requests.Cpu().String()
		case strings.Contains(container.Image, "another") || spec.PriorityClassName != "":
			t.Fatalf("what only the class may say is done: image %s, priority %q", container.Image, spec.PriorityClassName)
		}
		return ""
	})
	service := &corev1.Service{}
	eventually(t, time.Minute, "the Service is as the Gateway says", func() string {
		if err := here.client.Get(t.Context(), team.key("backendtls-web"), service); err != nil {
			return err.Error()
		}
		if service.Spec.Type != corev1.ServiceTypeNodePort || service.Annotations["example.com/cost"] != "" {
			return fmt.Sprintf("type %s, annotations %v", service.Spec.Type, service.Annotations)
		}
		return ""
	})
	team.rollout("backendtls-web")
	team.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	// The address is another one when the Service is of another type.
	eventually(t, time.Minute, "a client gets 200 at the Gateway's address", func() string {
		address := team.address()
		if got := team.status(address); got != 200 {
			return fmt.Sprintf("it gets %d at %s", got, address)
		}
		return ""
	})
}
