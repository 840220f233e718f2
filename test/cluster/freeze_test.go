package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/plugin/edit"
)

// TestAnEnvoyThatHearsNothingKeepsThePolicyPending has an Envoy of each of two
// replicas, and freezes one while the policy is tightened.
func TestAnEnvoyThatHearsNothingKeepsThePolicyPending(t *testing.T) {
	team, _, address := newTeam(t, 1)
	frozen, other := team.onTwoReplicas()
	now := time.Now().UTC()
	team.options(map[string]string{
		edit.OptionMode: "InsecureSkipVerification", edit.OptionReason: "a test",
		edit.OptionSince: now.Format(time.RFC3339), edit.OptionUntil: now.Add(30 * time.Minute).Format(time.RFC3339),
	})
	team.expect(time.Minute, "SecurityDegraded", metav1.ConditionTrue, "VerificationSkipped")
	team.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")

	thaw := freeze(t, frozen.Name)
	team.options(nil)
	team.expect(time.Minute, "Programmed", metav1.ConditionFalse, "Pending")
	for end := time.Now().Add(8 * time.Second); time.Now().Before(end); {
		programmed, degraded := team.condition("Programmed"), team.condition("SecurityDegraded")
		if programmed == nil || programmed.Status != metav1.ConditionFalse {
			t.Fatalf("Programmed is %v while pod %s is frozen", programmed, frozen.Name)
		}
		if degraded == nil || degraded.Status != metav1.ConditionTrue {
			t.Fatalf("SecurityDegraded is %v while pod %s may still skip verification", degraded, frozen.Name)
		}
		time.Sleep(200 * time.Millisecond)
	}
	eventually(t, time.Minute, "status names the frozen pod alone", func() string {
		condition := team.condition("Programmed")
		if condition == nil || !strings.Contains(condition.Message, frozen.Name) ||
			strings.Contains(condition.Message, other.Name) {
			return fmt.Sprint(condition)
		}
		return ""
	})
	thaw()
	team.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	team.expect(time.Minute, "SecurityDegraded", metav1.ConditionFalse, "Strict")
	team.answers(time.Minute, address, 200)
}

// freeze stops the Envoy of a pod, as a machine that is out of breath does,
// until thaw is called.
func freeze(t *testing.T, pod string) (thaw func()) {
	t.Helper()
	ids, err := processes(pod, "envoy")
	if err != nil || len(ids) != 1 {
		t.Fatalf("the processes of Envoy in pod %s are %v (%v), want one", pod, ids, err)
	}
	if err := syscall.Kill(ids[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	thaw = func() { _ = syscall.Kill(ids[0], syscall.SIGCONT) }
	t.Cleanup(thaw)
	return thaw
}

// options sets the options of policy api, all of them.
func (s *space) options(options map[string]string) {
	s.Helper()
	var policy gatewayv1.BackendTLSPolicy
	if err := here.client.Get(s.Context(), s.key("api"), &policy); err != nil {
		s.Fatal(err)
	}
	patch := client.MergeFrom(policy.DeepCopy())
	policy.Spec.Options = nil
	for key, value := range options {
		if policy.Spec.Options == nil {
			policy.Spec.Options = map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{}
		}
		policy.Spec.Options[gatewayv1.AnnotationKey(key)] = gatewayv1.AnnotationValue(value)
	}
	if err := here.client.Patch(s.Context(), &policy, patch, client.FieldOwner("test")); err != nil {
		s.Fatal(err)
	}
}

// onTwoReplicas are two Envoys that have their streams from different replicas
// of the operator. Chance decides where a stream goes, so Envoys are replaced
// until it is so.
func (s *space) onTwoReplicas() (one, other corev1.Pod) {
	s.Helper()
	for range 12 {
		var all []corev1.Pod
		var replicas map[string]string
		eventually(s.T, time.Minute, "two Envoys have their streams", func() string {
			all, replicas = nil, s.streams()
			for _, pod := range s.envoys() {
				if pod.DeletionTimestamp == nil && replicas[pod.Name] != "" {
					all = append(all, pod)
				}
			}
			if len(all) != 2 {
				return "there are others"
			}
			return ""
		})
		if replicas[all[0].Name] != replicas[all[1].Name] {
			return all[0], all[1]
		}
		s.gone(&all[0])
		s.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	}
	s.Fatal("both Envoys have their streams from the same replica, whatever is done")
	return one, other
}

// streams says of each Envoy which replica it has its stream from, as the
// replicas' logs have it.
func (s *space) streams() map[string]string {
	s.Helper()
	replicas, err := pods(s.Context(), system, "backendtls-operator")
	if err != nil {
		s.Fatal(err)
	}
	from := map[string]string{}
	for i := range replicas {
		log, err := here.run(s.Context(), "logs", "-n", system, replicas[i].Name)
		if err != nil {
			s.Fatal(err)
		}
		open := map[string]int{}
		for line := range strings.Lines(log) {
			var said struct{ Msg, Gateway, Envoy string }
			if json.Unmarshal([]byte(line), &said) != nil || said.Gateway != "gateway/"+s.name+"/web" {
				continue
			}
			switch said.Msg {
			case "xds stream opened":
				open[said.Envoy]++
			case "xds stream closed":
				open[said.Envoy]--
			}
		}
		for envoy, streams := range open {
			if streams > 0 {
				from[envoy] = replicas[i].Name
			}
		}
	}
	return from
}
