package manifest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/backendtls/backendtls/internal/manifest"
)

// world is n documents as a small platform has them: for each application a
// route, a policy, a Service, its endpoints and its CA.
func world(n int) []byte {
	var text bytes.Buffer
	for i := range n / 5 {
		fmt.Fprintf(&text, worldTemplate, i)
	}
	return text.Bytes()
}

const worldTemplate = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app-%[1]d, namespace: apps}
spec:
  parentRefs: [{name: web, namespace: infra}]
  hostnames: [app-%[1]d.example.com]
  rules:
  - matches:
    - path: {type: PathPrefix, value: /}
      headers: [{name: x-canary, value: "1"}]
    - path: {type: PathPrefix, value: /v2}
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {add: [{name: x-app, value: app-%[1]d}]}
    backendRefs: [{name: app-%[1]d, port: 443, weight: 9}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: app-%[1]d, namespace: apps}
spec:
  targetRefs: [{group: "", kind: Service, name: app-%[1]d, sectionName: https}]
  validation:
    hostname: app-%[1]d.apps.svc
    caCertificateRefs: [{group: "", kind: ConfigMap, name: ca-%[1]d}]
  options:
    backendtls.dev/pins: "spki-sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
---
apiVersion: v1
kind: Service
metadata: {name: app-%[1]d, namespace: apps}
spec:
  selector: {app: app-%[1]d}
  ports: [{name: https, port: 443, targetPort: 8443, appProtocol: https}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: app-%[1]d-1, namespace: apps, labels: {kubernetes.io/service-name: app-%[1]d}}
addressType: IPv4
ports: [{name: https, port: 8443, protocol: TCP}]
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: true}}
- {addresses: [10.0.0.2], conditions: {ready: true}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ca-%[1]d, namespace: apps}
data:
  ca.crt: |
    -----BEGIN CERTIFICATE-----
    MIIBtjCCAVugAwIBAgITBmyf1XSXNmY/Owua2eiedgPySjAKBggqhkjOPQQDAjA5
    -----END CERTIFICATE-----
`

func BenchmarkParse(b *testing.B) {
	files := []manifest.File{{Path: "world.yaml", Data: world(5000)}}
	for b.Loop() {
		set, problems := manifest.Parse(files)
		if len(problems) > 0 || len(set.Keys()) != 5000 {
			b.Fatalf("%d objects, problems %v", len(set.Keys()), problems[:min(len(problems), 3)])
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	set, _ := manifest.Parse([]manifest.File{{Path: "world.yaml", Data: world(5000)}})
	for b.Loop() {
		set.Snapshot()
	}
}
