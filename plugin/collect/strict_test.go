package collect_test

import (
	"testing"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/collect"
)

// streams are ports that only connections can be led to, or are.
const streams = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: backendtls
  listeners:
  - {name: ends, port: 443, protocol: TLS, tls: {mode: Terminate, certificateRefs: [{name: edge}]}}
  - {name: through, port: 444, protocol: TLS, tls: {mode: Passthrough}}
  - {name: calls, port: 80, protocol: HTTP}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: streams}
spec:
  parentRefs: [{name: edge, sectionName: ends}]
  hostnames: [db.example.com]
  rules: [{backendRefs: [{name: db, port: 5432}, {name: db, port: 443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: passed}
spec:
  parentRefs: [{name: edge, sectionName: through}]
  hostnames: [db.example.com]
  rules: [{backendRefs: [{name: db, port: 8443}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls}
spec:
  parentRefs: [{name: edge, sectionName: calls}]
  rules: [{backendRefs: [{name: rpc, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  ports:
  - {name: wire, port: 5432, appProtocol: postgresql}
  - {name: spare, port: 5433, appProtocol: postgresql}
  - {name: tls, port: 443}
  - {name: web, port: 8443, appProtocol: https}
---
apiVersion: v1
kind: Service
metadata: {name: rpc}
spec: {ports: [{name: calls, port: 443}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: rpc}
spec:
  targetRefs: [{group: "", kind: Service, name: rpc}]
  validation: {hostname: rpc.example.com, wellKnownCACertificates: backendtls.dev/PinnedOnly}
  options:
    backendtls.dev/pins: cert-sha256:0000000000000000000000000000000000000000000000000000000000000000
    backendtls.dev/alpn-protocols: h2
`

// database is a policy for a port of the Service db.
func database(port, options string) string {
	return `---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: ` + port + `}
spec:
  targetRefs: [{group: "", kind: Service, name: db, sectionName: ` + port + `}]
  validation: {hostname: db.example.com, wellKnownCACertificates: backendtls.dev/PinnedOnly}
  options:
    backendtls.dev/pins: cert-sha256:0000000000000000000000000000000000000000000000000000000000000000
    ` + options + "\n"
}

// TestAPortIsJudgedByARouteThatCanLeadThere goes by what the routes that are there
// speak, then by what the port's appProtocol allows.
func TestAPortIsJudgedByARouteThatCanLeadThere(t *testing.T) {
	content := streams + database("wire", "backendtls.dev/alpn-protocols: h2") + database("spare", "") +
		database("tls", "backendtls.dev/alpn-protocols: h2") + database("web", "")
	world := worldOf(t, content)
	if len(world.Problems) > 0 {
		t.Fatal(world.Problems)
	}
	for _, test := range []struct {
		name, service string
		port          int32
		policy        string
		spoken        gwapi.Kind
	}{
		{"a TLSRoute leads to what speaks no HTTP", "db", 5432, "wire", gwapi.KindTLSRoute},
		{"nothing leads to what speaks no HTTP", "db", 5433, "spare", gwapi.KindTLSRoute},
		{"only a TLSRoute leads to what could speak HTTP", "db", 443, "tls", gwapi.KindTLSRoute},
		{"the client's own TLS is passed on", "db", 8443, "web", gwapi.KindHTTPRoute},
		{"only a GRPCRoute leads to what could speak HTTP/1.1", "rpc", 443, "rpc", gwapi.KindGRPCRoute},
	} {
		t.Run(test.name, func(t *testing.T) {
			key := collect.PortKey{Service: gwapi.KeyOf(gwapi.KindService, "default", test.service), Port: test.port}
			port, _ := world.Port(key)
			if port.Policy == nil || port.Policy.Name != test.policy {
				t.Fatalf("policy %v, want %s", port.Policy, test.policy)
			}
			strict := port.Strict
			if strict.Fault != "" || strict.Policy.Trust == nil || strict.Route.Kind != test.spoken {
				t.Errorf("judged as a %s, fault %q, want a %s and none", strict.Route.Kind, strict.Fault, test.spoken)
			}
			if strict.Policy.Requested != model.Standard {
				t.Errorf("mode %s", strict.Policy.Requested)
			}
		})
	}
	for key := range world.Result.Refs {
		if key.Namespace == "backendtls.dev/supposed" {
			t.Errorf("%s is asked for, which is only supposed", key)
		}
	}
}
