package resolve_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/pki"
)

// BenchmarkBuild builds 5,000 HTTPRoutes, each with a hostname and a Service
// of its own, in plaintext or with a policy for every Service.
func BenchmarkBuild(b *testing.B) {
	for name, validation := range map[string]string{
		"plaintext": "",
		"ca":        "{hostname: api.example.com, caCertificateRefs: [{group: \"\", kind: ConfigMap, name: ca}]}",
		"system":    "{hostname: api.example.com, wellKnownCACertificates: System}",
	} {
		b.Run(name, func(b *testing.B) {
			snap := largeSnapshot(b, 5000, validation)
			web := gwapi.KeyOf(gwapi.KindGateway, "default", "web")
			if got := len(resolve.Build(snap).Gateways[web].Backends); got != 5000 {
				b.Fatalf("%d backends", got)
			}
			b.ReportAllocs()
			for b.Loop() {
				resolve.Build(snap)
			}
		})
	}
}

func largeSnapshot(b *testing.B, size int, validation string) *snapshot.Snapshot {
	b.Helper()
	snap := &snapshot.Snapshot{Now: buildTime, Site: snapshot.Site{Standalone: true}}
	addDocument(b, "class", snap, gwapi.KindGatewayClass,
		"metadata: {name: backendtls}\nspec: {controllerName: backendtls.dev/gateway-controller}")
	addDocument(b, "gateway", snap, gwapi.KindGateway, "metadata: {name: web, namespace: default}\n"+
		"spec: {gatewayClassName: backendtls, listeners: [{name: http, port: 80, protocol: HTTP}]}")
	roots := systemRoots(b, 140)
	snap.ConfigMaps = snapshot.NewObjects(
		&corev1.ConfigMap{Namespace: "backendtls-system", Name: "system-roots", Data: map[string]string{"ca.crt": roots}},
		&corev1.ConfigMap{Namespace: "default", Name: "ca", Data: map[string]string{"ca.crt": texts()["ECDSA_CERT"]}},
	)
	template := decodeDocument[gatewayv1.HTTPRoute](b, "route", "spec: {parentRefs: [{name: web}], rules: "+
		"[{matches: [{path: {value: /}}], backendRefs: [{name: x, port: 80}]}]}")
	var policy *gatewayv1.BackendTLSPolicy
	if validation != "" {
		policy = decodeDocument[gatewayv1.BackendTLSPolicy](b, "policy",
			"spec: {targetRefs: [{group: \"\", kind: Service, name: x}], validation: "+validation+"}")
	}
	routes, services := make([]*gatewayv1.HTTPRoute, size), make([]*corev1.Service, size)
	policies := make([]*gatewayv1.BackendTLSPolicy, 0, size)
	for i := range size {
		name := fmt.Sprintf("api-%d", i)
		routes[i] = template.DeepCopy()
		routes[i].Name, routes[i].Namespace = name, "default"
		routes[i].Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(name + ".example.com")}
		routes[i].Spec.Rules[0].BackendRefs[0].Name = gatewayv1.ObjectName(name)
		services[i] = &corev1.Service{Name: name, Namespace: "default", Spec: corev1.ServiceSpec{
			Ports: []corev1.ServicePort{{Port: 80}},
		}}
		if policy != nil {
			own := policy.DeepCopy()
			own.Name, own.Namespace = name, "default"
			own.Spec.TargetRefs[0].Name = gatewayv1.ObjectName(name)
			policies = append(policies, own)
		}
	}
	snap.HTTPRoutes, snap.Services = snapshot.NewObjects(routes...), snapshot.NewObjects(services...)
	snap.TLSPolicies = snapshot.NewObjects(policies...)
	return snap
}

// systemRoots is a bundle of as many authorities as browsers trust.
func systemRoots(b *testing.B, count int) string {
	b.Helper()
	var bundle strings.Builder
	for i := range count {
		authority, err := pki.SelfSigned(pki.Request{
			Name: fmt.Sprint("authority ", i), CA: true,
			NotBefore: buildTime.AddDate(-1, 0, 0), NotAfter: buildTime.AddDate(1, 0, 0),
		})
		if err != nil {
			b.Fatal(err)
		}
		bundle.Write(authority.PEM())
	}
	return bundle.String()
}
