package matrix_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// cell is a certificate under a trust in a mode.
type cell struct {
	trust       *trust
	certificate *certificate
	mode        model.Mode
	// name is that of the Service, the policy and the route.
	name string
	// backend is what the policy became; nil where it is refused.
	backend *model.Backend
}

// hostname is what a request to the cell asks for.
func (c *cell) hostname() string { return c.name + ".matrix.example.com" }

func (c *cell) String() string {
	return fmt.Sprintf("%s / %s / %s", c.trust.title, c.certificate.title, c.mode)
}

// cells are the whole matrix.
func cells(trusts []trust, certificates []*certificate) []*cell {
	var all []*cell
	for i := range trusts {
		for _, c := range certificates {
			for _, mode := range model.Modes {
				all = append(all, &cell{
					trust: &trusts[i], certificate: c, mode: mode, name: fmt.Sprintf("cell-%d", len(all)),
				})
			}
		}
	}
	return all
}

const gatewayText = `---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: matrix, namespace: default}
spec:
  gatewayClassName: backendtls
  addresses: [{type: IPAddress, value: 127.0.0.1}]
  listeners: [{name: http, port: %d, protocol: HTTP}]
  infrastructure: {parametersRef: {group: backendtls.dev, kind: GatewayParameters, name: all}}
---
apiVersion: backendtls.dev/v1alpha1
kind: GatewayParameters
metadata: {name: all, namespace: default}
spec:
  backendTLS:
    allowedModes: [InsecureAllowExpired, InsecureSkipOnlySANVerification, InsecureSkipVerification]
    maxDuration: Unlimited
    requireReason: false
`

const configMapText = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: %s, namespace: %s}
data: {%s: %q}
`

const bundleText = `---
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {name: %s}
spec: {trustBundle: %q}
`

const clientText = `---
apiVersion: v1
kind: Secret
metadata: {name: %s, namespace: default}
type: kubernetes.io/tls
stringData: {tls.crt: %q, tls.key: %q}
`

// traffic are the Services and routes, one of each for a cell. They are not
// written down: there is nothing in them to be read wrongly, and reading
// thousands of them takes time.
func traffic(all []*cell) (services []*corev1.Service, routes []*gatewayv1.HTTPRoute) {
	for _, c := range all {
		meta := metav1.ObjectMeta{Name: c.name, Namespace: "default", Generation: 1}
		backend := gatewayv1.BackendObjectReference{
			Kind: new(gatewayv1.Kind("Service")), Name: gatewayv1.ObjectName(c.name), Port: new(gatewayv1.PortNumber(443)),
		}
		services = append(services, &corev1.Service{
			ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
		})
		routes = append(routes, &gatewayv1.HTTPRoute{ObjectMeta: meta, Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "matrix"}}},
			Hostnames:       []gatewayv1.Hostname{gatewayv1.Hostname(c.hostname())},
			Rules: []gatewayv1.HTTPRouteRule{{
				BackendRefs: []gatewayv1.HTTPBackendRef{{BackendObjectReference: backend}},
			}},
		}})
	}
	return services, routes
}

// manifests are what a user would write: the Gateway and what it allows, the
// policies and the certificates that they name.
func manifests(t *testing.T, port uint16, trusted authorities, rows []*certificate, all []*cell) []byte {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, gatewayText, port)
	root, other := trusted.root.PEM(), trusted.other.PEM()
	fmt.Fprintf(&text, configMapText, caObject, "default", "ca.crt", root)
	fmt.Fprintf(&text, configMapText, otherObject, "default", "ca.crt", other)
	fmt.Fprintf(&text, configMapText, listsObject, "default", "ca.crl", trusted.lists)
	fmt.Fprintf(&text, configMapText, spentObject, "default", "ca.crl", trusted.spent)
	fmt.Fprintf(&text, configMapText, manifest.SystemRootsName.Name, manifest.SystemRootsName.Namespace, "ca.crt", root)
	fmt.Fprintf(&text, bundleText, bundleObject, root)
	// Any pair will do: these backends ask for none.
	key, err := rows[0].served.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&text, clientText, clientObject, rows[0].served.ChainPEM(), key)
	for _, row := range rows {
		fmt.Fprintf(&text, configMapText, row.objectName(), "default", "tls.crt", row.served.PEM())
	}
	for _, c := range all {
		text.WriteString(c.trust.policy(t, c.name, c.certificate, c.mode))
	}
	return []byte(text.String())
}

// decide resolves the manifests until every mode that is asked for is in force,
// as the operator does, and gives each cell its backend.
func decide(t *testing.T, text []byte, now time.Time, all []*cell) model.Gateway {
	t.Helper()
	set, problems := manifest.Parse([]manifest.File{{Path: "matrix.yaml", Data: text}})
	if len(problems) > 0 {
		t.Fatalf("the manifests are wrong: %v", problems)
	}
	services, routes := traffic(all)
	var result resolve.Result
	statuses := manifest.Statuses{}
	// A mode is announced in status before it comes into force.
	for range 2 {
		snap := set.WithStatuses(statuses).Snapshot()
		snap.Now = now
		snap.Services, snap.HTTPRoutes = snapshot.NewObjects(services...), snapshot.NewObjects(routes...)
		result = resolve.Build(snap)
		for key, ours := range result.Reports {
			statuses[key] = report.Merge(key, statuses[key], ours, now)
		}
	}
	gateway := result.Gateways[gwapi.KeyOf(gwapi.KindGateway, "default", "matrix")]
	backends := make(map[string]*model.Backend, len(gateway.Backends))
	for i := range gateway.Backends {
		backends[gateway.Backends[i].Name()] = &gateway.Backends[i]
	}
	byRoute := make(map[string]*model.Path, len(result.Paths))
	for i := range result.Paths {
		byRoute[result.Paths[i].Route.Name] = &result.Paths[i]
	}
	for _, c := range all {
		path, found := byRoute[c.name]
		if !found {
			t.Fatalf("%s: no path", c)
		}
		c.backend = backends[path.Backend]
		if c.backend == nil && path.Fault == "" {
			t.Fatalf("%s: neither a backend nor a fault", c)
		}
		if c.backend != nil && c.backend.Trust.Mode != c.mode {
			t.Fatalf("%s: the mode in force is %s", c, c.backend.Trust.Mode)
		}
	}
	return gateway
}
