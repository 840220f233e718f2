package collect_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/collect"
)

// mesh is a Service that a Gateway of Istio in another namespace leads to.
const mesh = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: istio, namespace: infra}
spec:
  gatewayClassName: istio
  listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: api, namespace: shop}
spec:
  parentRefs: [{name: istio, namespace: infra}]
  rules: [{backendRefs: [{name: api, port: 443}]}]
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{name: https, port: 443}, {name: admin, port: 8443}]}
---
`

func rule(namespace, spec string) string {
	return "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: rule, namespace: " + namespace +
		"}\nspec: " + spec + "\n"
}

// worldOf is the World of a directory with manifests in one file.
func worldOf(t *testing.T, content string) *collect.World {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "world.yaml"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	world, err := collect.Files(dir, "", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return world
}

// TestWhichDestinationRuleConcernsAService goes by host, namespace, exportTo and
// port, as Istio looks them up for the proxies of a Gateway.
func TestWhichDestinationRuleConcernsAService(t *testing.T) {
	const disable = "trafficPolicy: {tls: {mode: DISABLE}}"
	for _, test := range []struct{ name, rule, want string }{
		{"the full name", rule("shop", "{host: api.shop.svc.cluster.local, "+disable+"}"), "tls.mode DISABLE"},
		{"another domain", rule("shop", "{host: api.shop.svc.corp.example, "+disable+"}"), "tls.mode DISABLE"},
		{"a short name in the Service's namespace", rule("shop", "{host: api, "+disable+"}"), "tls.mode DISABLE"},
		{"a short name elsewhere means another Service", rule("infra", "{host: api, "+disable+"}"), ""},
		{"half a name is no name", rule("shop", "{host: api.shop, "+disable+"}"), ""},
		{"everything in the namespace", rule("shop", `{host: "*.shop.svc.cluster.local", `+disable+"}"), "tls.mode DISABLE"},
		{"everything", rule("istio-system", `{host: "*.local", `+disable+"}"), "tls.mode DISABLE"},
		{"everything in another namespace", rule("shop", `{host: "*.bank.svc.cluster.local", `+disable+"}"), ""},
		{"a rule in the Gateway's namespace", rule("infra", "{host: api.shop.svc.cluster.local, "+disable+"}"), "tls.mode DISABLE"},
		{"a rule in somebody else's namespace", rule("bank", "{host: api.shop.svc.cluster.local, "+disable+"}"), ""},
		{"not exported", rule("shop", `{host: api, exportTo: ["."], `+disable+"}"), ""},
		{"exported to the Gateway's", rule("shop", `{host: api, exportTo: [infra], `+disable+"}"), "tls.mode DISABLE"},
		{"exported to all", rule("shop", `{host: api, exportTo: ["*"], `+disable+"}"), "tls.mode DISABLE"},
		{"nothing about TLS", rule("shop", "{host: api, trafficPolicy: {loadBalancer: {simple: RANDOM}}}"), ""},
		{"no mode is DISABLE", rule("shop", "{host: api, trafficPolicy: {tls: {}}}"), "tls.mode DISABLE"},
		{
			"skipping verification", rule("shop", "{host: api, trafficPolicy: {tls: {mode: SIMPLE, insecureSkipVerify: true}}}"),
			"tls.mode SIMPLE, insecureSkipVerify",
		},
		{
			"the port's own settings replace the host's",
			rule("shop", "{host: api, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]}}"),
			"tls.mode SIMPLE for port 443",
		},
		{
			"and what they leave out is left out",
			rule("shop", "{host: api, trafficPolicy: {tls: {mode: DISABLE}, portLevelSettings: [{port: {number: 443}}]}}"), "",
		},
		{
			"those of another port",
			rule("shop", "{host: api, trafficPolicy: {portLevelSettings: [{port: {number: 8443}, tls: {mode: SIMPLE}}]}}"), "",
		},
		{"another group's kind of that name", strings.Replace(rule("shop", "{host: api, "+disable+"}"), "istio.io", "example", 1), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			world := worldOf(t, mesh+test.rule)
			port, found := world.Port(collect.PortKey{Service: gwapi.KeyOf(gwapi.KindService, "shop", "api"), Port: 443})
			if !found || len(port.Paths) != 1 {
				t.Fatalf("no path: %+v, %v", port, world.Problems)
			}
			var got []string
			for _, one := range world.Neighbours(port.Paths[0].Gateway, port) {
				got = append(got, one.Setting)
			}
			if strings.Join(got, "; ") != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
