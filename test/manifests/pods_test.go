package manifests_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// restricted are the reasons for which Pod Security refuses a pod in a namespace
// that enforces the level restricted.
func restricted(t *testing.T, w workload) []string {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var reasons []string
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, result := range evaluator.EvaluatePod(level, &w.metadata, &w.spec) {
		if !result.Allowed {
			reasons = append(reasons, result.ForbiddenReason+" ("+result.ForbiddenDetail+")")
		}
	}
	return reasons
}

func TestEveryPodPassesPodSecurityRestricted(t *testing.T) {
	for _, w := range workloads(t) {
		for _, reason := range restricted(t, w) {
			t.Errorf("%s: %s", w.name, reason)
		}
	}
}

// TestPodSecurityRefusesWhatItShould: an evaluator that allows everything would
// prove nothing.
func TestPodSecurityRefusesWhatItShould(t *testing.T) {
	for _, w := range workloads(t) {
		for name, weaken := range map[string]func(*corev1.PodSpec){
			"root": func(s *corev1.PodSpec) {
				s.SecurityContext.RunAsNonRoot = nil
				s.Containers[0].SecurityContext.RunAsNonRoot = nil
			},
			"escalation": func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
			"caps":       func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil },
			"seccomp":    func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil },
			"host":       func(s *corev1.PodSpec) { s.HostNetwork = true },
		} {
			weak := workload{w.name, w.metadata, *w.spec.DeepCopy()}
			weaken(&weak.spec)
			if len(restricted(t, weak)) == 0 {
				t.Errorf("%s: weakened by %s it still passes", w.name, name)
			}
		}
	}
}

// TestPodsAreTighterThanTheStandardAsks: what Pod Security has no check for.
func TestPodsAreTighterThanTheStandardAsks(t *testing.T) {
	for _, w := range workloads(t) {
		if user := w.spec.SecurityContext.RunAsUser; user == nil || *user != 65532 {
			t.Errorf("%s: runAsUser is not 65532", w.name)
		}
		if w.spec.EnableServiceLinks == nil || *w.spec.EnableServiceLinks {
			t.Errorf("%s: every Service of the namespace is in the environment", w.name)
		}
		for _, volume := range w.spec.Volumes {
			if volume.HostPath != nil || volume.Secret != nil {
				t.Errorf("%s: volume %s is of the host or a Secret", w.name, volume.Name)
			}
		}
		for _, container := range append(w.spec.InitContainers, w.spec.Containers...) {
			if readOnly := container.SecurityContext.ReadOnlyRootFilesystem; readOnly == nil || !*readOnly {
				t.Errorf("%s: container %s may write its root filesystem", w.name, container.Name)
			}
			if container.Resources.Requests.Cpu().IsZero() || container.Resources.Requests.Memory().IsZero() {
				t.Errorf("%s: container %s asks for no CPU or no memory", w.name, container.Name)
			}
			for _, port := range container.Ports {
				if port.HostPort != 0 || port.ContainerPort < 1024 {
					t.Errorf("%s: container %s binds port %d", w.name, container.Name, port.ContainerPort)
				}
			}
		}
	}
}

// TestEveryTokenIsForOneAudienceAndAnHour: but for the operator's own, for the
// API server.
func TestEveryTokenIsForOneAudienceAndAnHour(t *testing.T) {
	want := map[string]string{"operator": "backendtls-ledger", "envoy": "backendtls-xds"}
	for _, w := range workloads(t) {
		if mounts := w.spec.AutomountServiceAccountToken; mounts == nil || *mounts != (w.name == "operator") {
			t.Errorf("%s: automountServiceAccountToken is not %t", w.name, w.name == "operator")
		}
		var audiences []string
		for _, volume := range w.spec.Volumes {
			if volume.Projected == nil {
				continue
			}
			for _, source := range volume.Projected.Sources {
				if token := source.ServiceAccountToken; token != nil {
					audiences = append(audiences, token.Audience)
					if token.ExpirationSeconds == nil || *token.ExpirationSeconds != 3600 {
						t.Errorf("%s: the token for %s does not expire after an hour", w.name, token.Audience)
					}
				}
			}
		}
		if len(audiences) != 1 || audiences[0] != want[w.name] {
			t.Errorf("%s: has tokens for %q, want one for %s", w.name, audiences, want[w.name])
		}
	}
}

func TestTheOperatorIsRolledWithoutAGap(t *testing.T) {
	rendered := render(t, base)
	deployment := only[appsv1.Deployment](t, rendered)
	if deployment.Spec.Replicas == nil || *deployment.Spec.Replicas != 2 {
		t.Error("the operator has not two replicas")
	}
	update := deployment.Spec.Strategy.RollingUpdate
	if update == nil || update.MaxUnavailable == nil || *update.MaxUnavailable != intstr.FromInt32(0) {
		t.Error("a rollout may take a replica away before there is another")
	}
	container := deployment.Spec.Template.Spec.Containers[0]
	if container.ReadinessProbe == nil || container.LivenessProbe == nil {
		t.Error("the operator is not probed")
	}
	if container.Resources.Limits.Memory().IsZero() {
		t.Error("the operator has no memory limit, which GOMEMLIMIT is made of")
	}
	if deployment.Spec.Template.Spec.ServiceAccountName != only[corev1.ServiceAccount](t, rendered).Name {
		t.Error("the pods run as another ServiceAccount than the roles are bound to")
	}
}

// TestSelectorsFindTheOperatorsPods: of the Deployment, the Services, the budget
// and the spread of the pods themselves.
func TestSelectorsFindTheOperatorsPods(t *testing.T) {
	for name, dir := range kustomizations(t) {
		rendered := render(t, dir)
		deployment := only[appsv1.Deployment](t, render(t, base))
		pod := deployment.Spec.Template
		find := func(what string, selector *metav1.LabelSelector) {
			parsed, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil || parsed.Empty() || !parsed.Matches(labels.Set(pod.Labels)) {
				t.Errorf("%s: %s does not select the operator's pods: %v", name, what, err)
			}
		}
		find("the Deployment", deployment.Spec.Selector)
		for _, constraint := range pod.Spec.TopologySpreadConstraints {
			find("the spread", constraint.LabelSelector)
		}
		for _, budget := range each[policyv1.PodDisruptionBudget](t, rendered) {
			find("the budget", budget.Spec.Selector)
		}
		for _, service := range each[corev1.Service](t, rendered) {
			find("Service "+service.Name, &metav1.LabelSelector{MatchLabels: service.Spec.Selector})
			for _, port := range service.Spec.Ports {
				if portNamed(pod.Spec, port.TargetPort.StrVal) == 0 {
					t.Errorf("%s: Service %s leads to port %q, which no container names",
						name, service.Name, port.TargetPort.String())
				}
			}
		}
	}
}

// portNamed is the number of a container port, 0 if there is none.
func portNamed(spec corev1.PodSpec, name string) int32 {
	for _, container := range spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return port.ContainerPort
			}
		}
	}
	return 0
}
