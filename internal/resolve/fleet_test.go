package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/backendtls/backendtls/internal/model"
)

// shaped is a world in a cluster whose class and Gateway refer to
// GatewayParameters with the given spec.envoy.
func shaped(t *testing.T, class, gateway string) *world {
	t.Helper()
	w := withParameters(t, "", "")
	w.snap.Site.Standalone = false
	for name, spec := range map[string]string{"of-class": class, "of-gateway": gateway} {
		w.add("apiVersion: backendtls.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: " + name +
			", namespace: default}\nspec: {envoy: " + spec + "}")
	}
	return w
}

func TestTheGatewaysOwnEnvoySettingsGoBeforeTheClassesExceptWhereOnlyTheClassMaySay(t *testing.T) {
	const all = `{replicas: %, image: "%", resources: {requests: {cpu: %}}, logLevel: #, ` +
		`service: {type: @, annotations: {from: "%"}}, podTemplate: {spec: {priorityClassName: "%"}}}`
	write := func(number, level, service string) string {
		return strings.NewReplacer("%", number, "#", level, "@", service).Replace(all)
	}
	ofClass, ofGateway := write("3", "info", "NodePort"), write("5", "debug", "ClusterIP")
	class := model.Fleet{
		Class: "backendtls", Replicas: 3, Image: "3", Resources: []byte(`{"requests":{"cpu":"3"}}`), LogLevel: "info",
		ServiceType: "NodePort", ServiceAnnotations: map[string]string{"from": "3"},
		PodTemplate: []byte(`{"spec":{"priorityClassName":"3"}}`),
	}
	both := class
	both.Replicas, both.Resources, both.LogLevel, both.ServiceType = 5, []byte(`{"requests":{"cpu":"5"}}`), "debug", "ClusterIP"
	for name, c := range map[string]struct {
		class, gateway string
		want           model.Fleet
	}{
		"of neither":         {"{}", "{}", model.Fleet{Class: "backendtls"}},
		"of the class alone": {ofClass, "{}", class},
		"of the Gateway alone": {"{}", ofGateway, model.Fleet{
			Class: "backendtls", Replicas: 5, Resources: both.Resources, LogLevel: "debug", ServiceType: "ClusterIP",
		}},
		"of both": {ofClass, ofGateway, both},
	} {
		t.Run(name, func(t *testing.T) {
			got := Build(shaped(t, c.class, c.gateway).snap).Gateways[webKey]
			if diff := cmp.Diff(c.want, got.Fleet); diff != "" || got.Unresolved {
				t.Errorf("unresolved %v (-want +got):\n%s", got.Unresolved, diff)
			}
		})
	}
}

func TestEnvoySettingsThatMakeNoSenseLeaveTheFleetAsItIs(t *testing.T) {
	for spec, words := range map[string]string{
		"{replicas: 0}":                   "of-gateway spec.envoy.replicas: 0 is less than 1",
		"{logLevel: loud}":                `spec.envoy.logLevel: "loud" is none of trace`,
		"{service: {type: ExternalName}}": `spec.envoy.service.type: "ExternalName" is none of ClusterIP`,
	} {
		w := shaped(t, "{}", spec)
		gateway := Build(w.snap).Gateways[webKey]
		if fault := w.build().parametersOf(webKey).Fault; !gateway.Unresolved || !strings.Contains(fault, words) {
			t.Errorf("%s: unresolved %v, fault %q", spec, gateway.Unresolved, fault)
		}
	}
}

func TestTheFleetIsTheGatewaysOwnAndNoReasonForAnotherConfiguration(t *testing.T) {
	w := newWorld(t)
	w.snap.Site.Standalone = false
	before := Build(w.snap).Gateways[webKey]
	w.add(`apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: default, uid: 1-2-3}
spec:
  gatewayClassName: backendtls
  infrastructure: {labels: {team: shop}, annotations: {example.com/paid: "yes"}}`)
	got := Build(w.snap).Gateways[webKey]
	want := model.Fleet{
		Owner: "1-2-3", Class: "backendtls",
		Labels: map[string]string{"team": "shop"}, Annotations: map[string]string{"example.com/paid": "yes"},
	}
	if diff := cmp.Diff(want, got.Fleet); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Digest != before.Digest || got.ReadinessPort != model.DefaultReadinessPort {
		t.Errorf("digest %s, was %s; readiness port %d", got.Digest, before.Digest, got.ReadinessPort)
	}
	w.snap.Site.Standalone = true
	if got := Build(w.snap).Gateways[webKey]; got.ReadinessPort != 0 || got.Digest == before.Digest {
		t.Errorf("standalone: readiness port %d, digest %s", got.ReadinessPort, got.Digest)
	}
}
