package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
)

// The processes that are ended, and the labels of their pods.
const (
	operatorProgram = "backendtls-operator"
	operatorPods    = "backendtls-operator"
	envoyProgram    = "envoy"
	envoyPods       = "backendtls-envoy"
	backendProgram  = "demo"
)

// life is a team under traffic in a cluster to which things happen.
type life struct {
	*space
	*traffic
	*witness

	address string
}

// on makes a part of a test the one that fails.
func (l *life) on(t *testing.T) *life {
	team := &space{T: t, name: l.space.name}
	return &life{space: team, traffic: l.traffic, witness: l.witness, address: l.address}
}

// TestAClusterLivesUnderTraffic goes through what happens to a cluster in a
// year, in one go: two replicas of the operator, two Envoys, 100 requests per
// second. The order is chosen so that the change of the CA, which takes two
// minutes by itself, is under way meanwhile.
func TestAClusterLivesUnderTraffic(t *testing.T) {
	team, _, address := newTeam(t, 6)
	began := time.Now()
	l := &life{space: team, traffic: newTraffic(t, team, address), witness: newWitness(t, team), address: address}
	l.enough(t, began, 200)
	var change *rotation
	for _, event := range []struct {
		name string
		does func(*life)
	}{
		{"the operator is rolled", (*life).rollOperator},
		{"Envoy is rolled", (*life).rollEnvoy},
		{"the CA of xDS is to be replaced", func(l *life) { change = l.rotate() }},
		{"the leader is killed", (*life).killLeader},
		{"the follower is killed", (*life).killFollower},
		{"backends are drained", (*life).drainBackends},
		{"a backend is killed", (*life).killBackend},
		{"the CA that the policy names is deleted and made again", (*life).loseAuthority},
		{"the new CA of xDS signs, and the old one is forgotten", func(l *life) { change.ends(l) }},
		{"an Envoy is killed", (*life).killEnvoy},
		{"the API server is away for a minute", (*life).loseAPIServer},
	} {
		t.Run(strings.ReplaceAll(event.name, " ", "_"), func(t *testing.T) { event.does(l.on(t)) })
	}
	l.pace(t, began)
}

// flawless fails the test if any request since a moment did.
func (l *life) flawless(began time.Time) {
	l.Helper()
	// Those that are on their way now count too.
	l.enough(l.T, time.Now(), 100)
	answers := l.traffic.since(began)
	if failed := failures(answers); len(failed) > 0 {
		l.Errorf("%d of %d requests failed", len(failed), len(answers))
		l.report(l.T, failed)
	}
	l.Logf("%d requests", len(answers))
}

// leader is the name of the pod that holds the operator's lease.
func (l *life) leader() string {
	l.Helper()
	var holder string
	eventually(l.T, time.Minute, "a replica leads", func() string {
		var lease coordinationv1.Lease
		err := here.client.Get(l.Context(), types.NamespacedName{Namespace: system, Name: "backendtls-operator"}, &lease)
		if err != nil {
			return err.Error()
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
			return "nobody holds the lease"
		}
		holder = *lease.Spec.HolderIdentity
		return ""
	})
	return holder
}

// ready waits until there are so many pods with a label, all ready.
func (l *life) ready(within time.Duration, in, name string, want int) []corev1.Pod {
	l.Helper()
	var all []corev1.Pod
	eventually(l.T, within, fmt.Sprintf("%d pods of %s are there and ready", want, name), func() string {
		var err error
		if all, err = pods(l.Context(), in, name); err != nil {
			return err.Error()
		}
		var words []string
		for i := range all {
			if all[i].DeletionTimestamp != nil || !isReady(&all[i]) {
				words = append(words, all[i].Name+" is not ready or ending")
			}
		}
		if len(all) != want || len(words) > 0 {
			return fmt.Sprintf("there are %d: %s", len(all), strings.Join(words, ", "))
		}
		return ""
	})
	return all
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// rollOperator starts the replicas anew, with the shortest steps for a change
// of the CA that the operator takes: kubelet brings a ConfigMap within 90 s.
func (l *life) rollOperator() {
	began := time.Now()
	patch := `{"spec":{"template":{"spec":{"containers":[{"name":"operator",` +
		`"args":["run","--xds-ca-trust-first=100s","--xds-ca-trust-after=30s"]}]}}}}`
	if _, err := here.run(l.Context(), "patch", "-n", system, "deployment/backendtls-operator", "-p", patch); err != nil {
		l.Fatal(err)
	}
	if _, err := here.run(l.Context(), "rollout", "status", "-n", system,
		"deployment/backendtls-operator", "--timeout=90s"); err != nil {
		l.Fatal(err)
	}
	l.right(l.T, time.Minute)
	l.ready(time.Minute, system, operatorPods, 2)
	l.only(l.T, began, programmed, pending, notHeard)
	l.flawless(began)
}

// rollEnvoy has every Envoy replaced, because it is to be started otherwise.
func (l *life) rollEnvoy() {
	began := time.Now()
	before := l.ready(time.Minute, l.name(), envoyPods, 2)
	var parameters v1alpha1.GatewayParameters
	parameters.Namespace, parameters.Name = l.name(), "web"
	if err := here.client.Patch(l.Context(), &parameters, client.RawPatch("application/merge-patch+json",
		[]byte(`{"spec":{"envoy":{"logLevel":"info"}}}`))); err != nil {
		l.Fatal(err)
	}
	eventually(l.T, 100*time.Second, "two other Envoys are there and ready", func() string {
		after, err := pods(l.Context(), l.name(), envoyPods)
		if err != nil {
			return err.Error()
		}
		if len(after) != len(before) {
			return fmt.Sprintf("there are %d", len(after))
		}
		for i := range after {
			if !isReady(&after[i]) || slices.ContainsFunc(before, func(old corev1.Pod) bool { return old.UID == after[i].UID }) {
				return after[i].Name + " is an old one or not ready"
			}
		}
		return ""
	})
	l.right(l.T, time.Minute)
	l.only(l.T, began, programmed, pending, notHeard)
	l.flawless(began)
}

func (l *life) name() string { return l.space.name }

// killLeader ends the replica that writes. The other one does so in its place,
// or the same when it was started again.
func (l *life) killLeader() {
	began := time.Now()
	kill(l.T, l.leader(), operatorProgram)
	l.right(l.T, time.Minute)
	l.ready(time.Minute, system, operatorPods, 2)
	l.only(l.T, began, programmed, pending, notHeard)
	l.flawless(began)
}

// killFollower ends the replica that only serves.
func (l *life) killFollower() {
	began := time.Now()
	leader := l.leader()
	for _, pod := range l.ready(time.Minute, system, operatorPods, 2) {
		if pod.Name != leader {
			kill(l.T, pod.Name, operatorProgram)
		}
	}
	l.right(l.T, time.Minute)
	l.ready(60*time.Second, system, operatorPods, 2)
	l.only(l.T, began, programmed, pending, notHeard)
	l.flawless(began)
}

// drainBackends takes four of six backends away at once, and has the other two
// replaced one after the other, as when a node is emptied.
func (l *life) drainBackends() {
	began := time.Now()
	api := l.key("api")
	if err := scale(l.Context(), api, 2); err != nil {
		l.Fatal(err)
	}
	left := l.backends(2)
	for i := range left {
		if err := here.client.Delete(l.Context(), &left[i]); err != nil {
			l.Fatal(err)
		}
		l.backends(2)
	}
	for _, pod := range l.backends(2) {
		if slices.ContainsFunc(left, func(old corev1.Pod) bool { return old.UID == pod.UID }) {
			l.Errorf("%s was deleted and is there", pod.Name)
		}
	}
	l.right(l.T, time.Minute)
	l.only(l.T, began, programmed)
	l.flawless(began)
}

// backends waits until there are so many backends, all ready, and none that is
// ending.
func (l *life) backends(want int) []corev1.Pod {
	l.Helper()
	var list corev1.PodList
	eventually(l.T, 60*time.Second, fmt.Sprintf("%d backends are there and ready", want), func() string {
		if err := here.client.List(l.Context(), &list, client.InNamespace(l.name()), client.MatchingLabels{"app": "api"}); err != nil {
			return err.Error()
		}
		for i := range list.Items {
			if !isReady(&list.Items[i]) || list.Items[i].DeletionTimestamp != nil {
				return list.Items[i].Name + " is not ready or ending"
			}
		}
		if len(list.Items) != want {
			return fmt.Sprintf("there are %d", len(list.Items))
		}
		return ""
	})
	return list.Items
}

// killBackend ends a backend without a word to anybody. Nobody promises anything
// to the requests that it was answering: these get 503, because a backend may
// have acted on them. All others are answered, also those that are sent to it
// before its end has got round.
func (l *life) killBackend() {
	victim := l.backends(2)[0]
	began := time.Now()
	kill(l.T, victim.Name, backendProgram)
	// It was alive for as long as it took to find its process, and Envoy hears of
	// its end when it gets to it.
	killed := time.Now().Add(500 * time.Millisecond)
	l.backends(2)
	l.right(l.T, time.Minute)
	l.only(l.T, began, programmed)
	l.enough(l.T, time.Now(), 100)
	failed := l.failedAfter(began)
	l.report(l.T, failed)
	for _, a := range failed {
		if a.status != 503 || a.sent.After(killed) {
			l.Errorf("%s, but the backend was killed by %s", a, killed.Format("15:04:05.000"))
		}
	}
	l.Logf("%d requests failed of those that the backend was answering", len(failed))
}

// killEnvoy ends an Envoy without a word to anybody: its clients' connections
// end, and new ones are sent to it until kubelet and kube-proxy have noticed.
// After that all is well with what is left, and soon with both.
func (l *life) killEnvoy() {
	const noticed = 10 * time.Second
	victim := l.ready(time.Minute, l.name(), envoyPods, 2)[0]
	began := time.Now()
	kill(l.T, victim.Name, envoyProgram)
	l.enough(l.T, began.Add(noticed), 100)
	l.ready(time.Minute, l.name(), envoyPods, 2)
	l.right(l.T, time.Minute)
	l.only(l.T, began, programmed, pending, notHeard)
	l.enough(l.T, time.Now(), 100)
	failed := l.failedAfter(began)
	l.report(l.T, failed)
	last := began
	for _, a := range failed {
		if a.status != 0 || a.sent.After(began.Add(noticed)) {
			l.Errorf("%s, but Envoy was killed at %s", a, began.Format("15:04:05.000"))
		}
		if a.sent.After(last) {
			last = a.sent
		}
	}
	l.Logf("%d of %d requests failed, the last was sent %s after the end of Envoy",
		len(failed), len(l.traffic.since(began)), last.Sub(began).Round(time.Millisecond))
}

// failedAfter are the requests that failed after a moment, whenever they were
// sent.
func (l *life) failedAfter(moment time.Time) []*answer {
	return slices.DeleteFunc(failures(l.traffic.since(moment.Add(-patience))), func(a *answer) bool {
		return a.answered.Before(moment)
	})
}

// loseAuthority takes the CA away that the policy names. Who cannot be verified
// is sent nothing: 500 until it is there again, and the status says why.
func (l *life) loseAuthority() {
	const within = time.Minute
	var ca corev1.ConfigMap
	if err := here.client.Get(l.Context(), l.key("ca"), &ca); err != nil {
		l.Fatal(err)
	}
	again := &corev1.ConfigMap{Data: ca.Data}
	again.Namespace, again.Name = ca.Namespace, ca.Name
	l.Cleanup(func() {
		// What comes after does not fail because this did.
		_ = here.client.Create(context.WithoutCancel(l.Context()), again.DeepCopy())
	})
	lost := time.Now()
	if err := here.client.Delete(l.Context(), &ca); err != nil {
		l.Fatal(err)
	}
	l.expect(within, "Accepted", metav1.ConditionFalse, "NoValidCACertificate")
	l.expect(within, "SecurityDegraded", metav1.ConditionFalse, "FailClosed")
	l.expect(within, "Programmed", metav1.ConditionTrue, "Programmed")
	told := time.Now()
	l.Logf("the status said so %s after the CA was deleted", told.Sub(lost).Round(time.Millisecond))
	l.enough(l.T, told, 300)
	back := time.Now()
	if err := here.client.Create(l.Context(), again.DeepCopy()); err != nil {
		l.Fatal(err)
	}
	l.expect(within, "Accepted", metav1.ConditionTrue, "Accepted")
	l.expect(within, "SecurityDegraded", metav1.ConditionFalse, "Strict")
	l.expect(within, "Programmed", metav1.ConditionTrue, "Programmed")
	restored := time.Now()
	l.Logf("the status said so %s after the CA was made again", restored.Sub(back).Round(time.Millisecond))
	l.flawless(restored)
	l.refused(lost, told, back, restored)
}

// refused checks that what the policy demanded was done exactly then: requests
// get 500 from when the status says so until the CA is back, and never else.
func (l *life) refused(lost, told, back, restored time.Time) {
	var first, last time.Time
	for _, a := range l.traffic.since(lost.Add(-patience)) {
		switch {
		case a.status == 500:
			if first.IsZero() {
				first = a.answered
			}
			last = a.sent
			if a.answered.Before(lost) || a.sent.After(restored) {
				l.Errorf("while the CA was there: %s", a)
			}
		case a.status != 200 && a.answered.After(lost):
			l.Errorf("neither 200 nor 500: %s", a)
		case a.sent.After(told) && a.answered.Before(back):
			l.Errorf("without the CA: %s", a)
		}
	}
	l.Logf("the first 500 came %s after the CA was deleted, the last was sent %s after it was made again",
		first.Sub(lost).Round(time.Millisecond), last.Sub(back).Round(time.Millisecond))
}

// loseAPIServer kills the API server and starts it again after a minute.
// Nothing can change meanwhile; nothing does, nobody restarts.
func (l *life) loseAPIServer() {
	const away = time.Minute
	restarts := l.restarts()
	began := time.Now()
	l.localcluster("kill")
	l.Cleanup(func() { l.localcluster("start") })
	for time.Since(began) < away {
		l.enough(l.T, time.Now(), 100)
	}
	if answers := l.traffic.since(began); len(answers) < int(80*away.Seconds()) {
		l.Errorf("only %d requests were answered meanwhile", len(answers))
	}
	l.localcluster("start")
	returned := time.Now()
	l.right(l.T, time.Minute)
	l.Logf("%s after the API server was back", time.Since(returned).Round(10*time.Millisecond))
	// The node controller of the local cluster is patient: see its
	// node-monitor-grace-period.
	l.ready(time.Minute, system, operatorPods, 2)
	l.ready(time.Minute, l.name(), envoyPods, 2)
	l.Logf("all pods were ready %s after the API server was back", time.Since(returned).Round(time.Second))
	if now := l.restarts(); now != restarts {
		l.Errorf("containers were started anew:\n%s\nbefore:\n%s", now, restarts)
	}
	l.only(l.T, began, programmed)
	l.flawless(began)
}

// restarts are the containers of operator and Envoys and how often each was
// started.
func (l *life) restarts() string {
	l.Helper()
	var lines []string
	for in, name := range map[string]string{system: operatorPods, l.name(): envoyPods} {
		all, err := pods(l.Context(), in, name)
		if err != nil {
			l.Fatal(err)
		}
		for i := range all {
			for _, container := range all[i].Status.ContainerStatuses {
				lines = append(lines, fmt.Sprintf("%s %s: %d", all[i].Name, container.Name, container.RestartCount))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func (l *life) localcluster(action string) {
	l.Helper()
	output, err := exec.CommandContext(context.WithoutCancel(l.Context()), filepath.Join(root, ".build", "localcluster"),
		"--dir", here.directory, action, "kube-apiserver").CombinedOutput()
	if err != nil {
		l.Fatalf("%s: %v\n%s", action, err, output)
	}
}
