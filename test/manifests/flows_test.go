package manifests_test

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/test/manifests/flow"
)

// flowTable is testdata/flows.yaml.
type flowTable struct {
	// Namespaces are labels by name.
	Namespaces map[string]map[string]string `json:"namespaces"`
	// Ends are who is not shipped, by name; the shipped ones are added.
	Ends map[string]struct {
		Namespace string            `json:"namespace"`
		Labels    map[string]string `json:"labels"`
		Address   string            `json:"address"`
	} `json:"ends"`
	// Allowed and Denied hold for the base; Monitored with components/monitoring.
	Allowed   []string `json:"allowed"`
	Denied    []string `json:"denied"`
	Monitored struct {
		Allowed []string `json:"allowed"`
		Denied  []string `json:"denied"`
	} `json:"monitored"`
	// Probed holds with components/probe.
	Probed struct {
		Allowed []string `json:"allowed"`
		Denied  []string `json:"denied"`
	} `json:"probed"`
}

func TestNetworkPoliciesLetThroughWhatTheyShouldAndNothingElse(t *testing.T) {
	text, err := os.ReadFile("testdata/flows.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table flowTable
	if err := yaml.UnmarshalStrict(text, &table); err != nil {
		t.Fatal(err)
	}
	ends := endsOf(t, table)
	policies := append(each[networkingv1.NetworkPolicy](t, render(t, base)),
		*object[*networkingv1.NetworkPolicy](t, fleetOf(t)))
	monitored := slices.Concat(policies,
		each[networkingv1.NetworkPolicy](t, render(t, base+"/components/monitoring")))
	probed := slices.Concat(policies, each[networkingv1.NetworkPolicy](t, render(t, base+"/components/probe")))
	// Networks differ in whether an ipBlock means pods; nothing here may depend
	// on it.
	for _, blocksMeanPods := range []bool{false, true} {
		world := flow.World{Namespaces: table.Namespaces, Policies: policies, BlocksMeanPods: blocksMeanPods}
		expect(t, world, ends, table.Allowed, true)
		expect(t, world, ends, table.Denied, false)
		expect(t, world, ends, table.Monitored.Allowed, false)
		expect(t, world, ends, table.Probed.Denied, false)
		world.Policies = probed
		expect(t, world, ends, table.Allowed, true)
		expect(t, world, ends, table.Probed.Allowed, true)
		expect(t, world, ends, table.Probed.Denied, false)
		world.Policies = monitored
		expect(t, world, ends, table.Allowed, true)
		expect(t, world, ends, table.Monitored.Allowed, true)
		expect(t, world, ends, table.Monitored.Denied, false)
	}
}

func expect(t *testing.T, world flow.World, ends map[string]flow.End, lines []string, want bool) {
	t.Helper()
	if len(lines) == 0 {
		t.Fatal("no flows")
	}
	for _, line := range lines {
		connection, err := flow.Parse(line)
		if err != nil {
			t.Fatal(err)
		}
		from, known := ends[connection.From]
		to, alsoKnown := ends[connection.To]
		if !known || !alsoKnown {
			t.Fatalf("%s: an end that nobody knows", line)
		}
		if got := world.Allows(from, to, connection.Target); got != want {
			t.Errorf("%s (blocks mean pods: %t): allowed is %t, want %t", line, world.BlocksMeanPods, got, want)
		}
	}
}

func endsOf(t *testing.T, table flowTable) map[string]flow.End {
	t.Helper()
	operator := only[appsv1.Deployment](t, render(t, base))
	envoy := object[*appsv1.Deployment](t, fleetOf(t))
	ends := map[string]flow.End{
		"operator":       shipped(operator.Namespace, operator.Spec.Template, "10.244.0.10"),
		"other-operator": shipped(operator.Namespace, operator.Spec.Template, "10.244.0.11"),
		"envoy":          shipped(envoy.Namespace, envoy.Spec.Template, "10.244.1.10"),
	}
	for name, end := range table.Ends {
		address, err := netip.ParseAddr(end.Address)
		if err != nil {
			t.Fatal(err)
		}
		ends[name] = flow.End{Namespace: end.Namespace, Labels: end.Labels, Address: address}
	}
	return ends
}

func shipped(namespace string, pod corev1.PodTemplateSpec, address string) flow.End {
	ports := map[string]int32{}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			ports[port.Name] = port.ContainerPort
		}
	}
	return flow.End{Namespace: namespace, Labels: pod.Labels, Ports: ports, Address: netip.MustParseAddr(address)}
}
