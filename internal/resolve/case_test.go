package resolve_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/test/pki"
)

// buildTime is the time of every case.
var buildTime = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// testCase is the document of kind Case that begins a file of testdata/gateway;
// the others are the objects.
type testCase struct {
	metav1.TypeMeta `json:",inline"`

	// Says is the sentence that the case proves.
	Says string `json:"says"`
	// Cluster: the site is a cluster, not standalone.
	Cluster        bool     `json:"cluster"`
	AllowAddresses []string `json:"allowAddresses"`
	// Faults are by key, as in messages: service/default/api.
	Faults map[string]string `json:"faults"`
	// Unseen are kinds, or kind/namespace; with ! in front, what was read of an
	// unseen kind all the same.
	Unseen []string `json:"unseen"`
	// Denied is why ClusterTrustBundles may not be read.
	Denied string `json:"denied"`
	// Envoys are by Gateway; "settled" ones acknowledged everything.
	Envoys         map[string][]testEnvoy `json:"envoys"`
	Untranslatable map[string]string      `json:"untranslatable"`
	// Assigned are the addresses of Services, Fleet the faults of what runs
	// Envoys, by Gateway.
	Assigned map[string][]string `json:"assigned"`
	Fleet    map[string]string   `json:"fleet"`

	// Conditions are by key, with #LISTENER or @PARENT behind it, each
	// "Type=Status/Reason", with ": words" that the message must have.
	Conditions map[string][]string `json:"conditions"`
	// Absent are condition types that must not be there; "*": no report at all.
	Absent map[string][]string `json:"absent"`
	// Attached are routes attached, by GATEWAY#LISTENER.
	Attached map[string]int32 `json:"attached"`
	// Kinds are supportedKinds, by GATEWAY#LISTENER.
	Kinds map[string][]string `json:"kinds"`
	// Addresses are of the status, by Gateway.
	Addresses map[string][]string `json:"addresses"`
	// Model is all of it, by Gateway, one line per rule (see describe).
	Model map[string][]string `json:"model"`
	// Refs are some keys, each with the Gateways that need it.
	Refs map[string][]string `json:"refs"`
	// Paths are all of them (see describePath).
	Paths []string `json:"paths"`
}

type testEnvoy struct {
	Name       string            `json:"name"`
	Connected  bool              `json:"connected"`
	Settled    bool              `json:"settled"`
	Rejections []model.Rejection `json:"rejections"`
}

// texts are what $NAMES in a file stand for, made once: keys cost time.
var texts = sync.OnceValue(func() map[string]string {
	must := func(identity *pki.Identity, err error) *pki.Identity {
		if err != nil {
			panic(err)
		}
		return identity
	}
	issue := func(kind pki.KeyType) *pki.Identity {
		return must(pki.SelfSigned(pki.Request{
			Name: "web", DNS: []string{"*.example.com"}, KeyType: kind,
			NotBefore: buildTime.Add(-time.Hour), NotAfter: buildTime.Add(time.Hour),
		}))
	}
	result := map[string]string{}
	for name, kind := range map[string]pki.KeyType{
		"ECDSA": pki.P256, "OTHER": pki.P256, "RSA": pki.RSA2048, "SMALL": pki.RSA1024, "EDWARDS": pki.Ed25519,
	} {
		identity := issue(kind)
		key, err := identity.KeyPEM()
		if err != nil {
			panic(err)
		}
		result[name+"_CERT"], result[name+"_KEY"] = string(identity.PEM()), string(key)
	}
	return result
})

// readCase reads a file of testdata/gateway.
func readCase(t testing.TB, path string) (testCase, *snapshot.Snapshot) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, value := range texts() {
		quoted, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		text = strings.ReplaceAll(text, "$"+name, string(quoted))
	}
	snap := &snapshot.Snapshot{Now: buildTime, Site: snapshot.Site{Standalone: true}}
	var c testCase
	for document := range strings.SplitSeq(text, "\n---\n") {
		var head metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &head); err != nil {
			t.Fatalf("%s: %v in\n%s", path, err, document)
		}
		if head.Kind == "Case" {
			c = *decodeDocument[testCase](t, path, document)
			continue
		}
		addDocument(t, path, snap, gwapi.Kind(head.Kind), document)
	}
	c.apply(t, snap)
	return c, snap
}

// apply puts what is not an object into the snapshot.
func (c *testCase) apply(t testing.TB, snap *snapshot.Snapshot) {
	t.Helper()
	snap.Site.Standalone, snap.TrustBundlesDenied = !c.Cluster, c.Denied
	for _, text := range c.AllowAddresses {
		snap.Site.AllowAddresses = append(snap.Site.AllowAddresses, netip.MustParsePrefix(text))
	}
	snap.Faults = map[gwapi.Key]string{}
	for key, fault := range c.Faults {
		snap.Faults[parseKey(t, key)] = fault
	}
	snap.Unseen = map[snapshot.Scope]string{}
	for _, text := range c.Unseen {
		kind, namespace, _ := strings.Cut(text, "/")
		kind, read := strings.CutPrefix(kind, "!")
		reason := "forbidden"
		if read {
			reason = ""
		}
		snap.Unseen[snapshot.Scope{Kind: gwapi.Kind(kind), Namespace: namespace}] = reason
	}
	snap.Observed.Addresses, snap.Observed.Fleet = map[gwapi.Key][]string{}, map[gwapi.Key]string{}
	for key, addresses := range c.Assigned {
		snap.Observed.Addresses[parseKey(t, key)] = addresses
	}
	for key, fault := range c.Fleet {
		snap.Observed.Fleet[parseKey(t, key)] = fault
	}
	snap.Observed.Untranslatable = map[gwapi.Key]string{}
	for key, why := range c.Untranslatable {
		snap.Observed.Untranslatable[parseKey(t, key)] = why
	}
}

func addDocument(t testing.TB, path string, s *snapshot.Snapshot, kind gwapi.Kind, document string) {
	t.Helper()
	switch kind {
	case gwapi.KindGatewayClass:
		s.GatewayClasses = s.GatewayClasses.With(decodeDocument[gatewayv1.GatewayClass](t, path, document))
	case gwapi.KindGateway:
		s.Gateways = s.Gateways.With(decodeDocument[gatewayv1.Gateway](t, path, document))
	case gwapi.KindListenerSet:
		s.ListenerSets = s.ListenerSets.With(decodeDocument[gatewayv1.ListenerSet](t, path, document))
	case gwapi.KindHTTPRoute:
		s.HTTPRoutes = s.HTTPRoutes.With(decodeDocument[gatewayv1.HTTPRoute](t, path, document))
	case gwapi.KindGRPCRoute:
		s.GRPCRoutes = s.GRPCRoutes.With(decodeDocument[gatewayv1.GRPCRoute](t, path, document))
	case gwapi.KindTLSRoute:
		s.TLSRoutes = s.TLSRoutes.With(decodeDocument[gatewayv1.TLSRoute](t, path, document))
	case gwapi.KindTCPRoute:
		s.TCPRoutes = s.TCPRoutes.With(decodeDocument[gatewayv1.TCPRoute](t, path, document))
	case gwapi.KindReferenceGrant:
		s.ReferenceGrants = s.ReferenceGrants.With(decodeDocument[gatewayv1.ReferenceGrant](t, path, document))
	case gwapi.KindBackendTLSPolicy:
		s.TLSPolicies = s.TLSPolicies.With(decodeDocument[gatewayv1.BackendTLSPolicy](t, path, document))
	case gwapi.KindGatewayParameters:
		s.Parameters = s.Parameters.With(decodeDocument[v1alpha1.GatewayParameters](t, path, document))
	case gwapi.KindService:
		s.Services = s.Services.With(decodeDocument[corev1.Service](t, path, document))
	case gwapi.KindNamespace:
		s.Namespaces = s.Namespaces.With(decodeDocument[corev1.Namespace](t, path, document))
	case gwapi.KindConfigMap:
		s.ConfigMaps = s.ConfigMaps.With(decodeDocument[corev1.ConfigMap](t, path, document))
	case gwapi.KindSecret:
		secret := decodeDocument[corev1.Secret](t, path, document)
		secret.Data = map[string][]byte{}
		for key, value := range secret.StringData {
			secret.Data[key] = []byte(value)
		}
		s.Secrets = s.Secrets.With(secret)
	default:
		t.Fatalf("%s: no kind %q in\n%s", path, kind, document)
	}
}

func decodeDocument[T any](t testing.TB, path, document string) *T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatalf("%s: %v in\n%s", path, err, document)
	}
	return &object
}

// parseKey reads the form of Key.String.
func parseKey(t testing.TB, text string) gwapi.Key {
	t.Helper()
	kinds := []gwapi.Kind{
		gwapi.KindGatewayClass, gwapi.KindGateway, gwapi.KindListenerSet, gwapi.KindHTTPRoute, gwapi.KindGRPCRoute,
		gwapi.KindTLSRoute, gwapi.KindTCPRoute, gwapi.KindReferenceGrant, gwapi.KindBackendTLSPolicy,
		gwapi.KindGatewayParameters, gwapi.KindService, gwapi.KindSecret, gwapi.KindConfigMap, gwapi.KindNamespace,
	}
	parts := strings.Split(text, "/")
	for _, kind := range kinds {
		if strings.EqualFold(string(kind), parts[0]) && len(parts) == 2 {
			return gwapi.KeyOf(kind, "", parts[1])
		}
		if strings.EqualFold(string(kind), parts[0]) && len(parts) == 3 {
			return gwapi.KeyOf(kind, parts[1], parts[2])
		}
	}
	t.Fatalf("%q is no key", text)
	return gwapi.Key{}
}

// describe writes a Gateway's model, a line per rule: port and listener, host,
// route and rule, match, and what happens.
func describe(gateway model.Gateway) []string {
	lines := []string{"bind " + gateway.Address}
	backends := map[string]model.Backend{}
	for _, backend := range gateway.Backends {
		backends[backend.Name()] = backend
	}
	for _, listener := range gateway.Listeners {
		for _, server := range listener.Servers {
			head := fmt.Sprintf("%s %d %s", listener.Protocol, listener.Port, server.Name)
			if server.Hostname != "" {
				head += "(" + server.Hostname + ")"
			}
			if server.Passthrough {
				head += " passthrough"
			}
			for _, pair := range server.Certificates {
				lines = append(lines, head+" presents "+pair.Secret.String())
			}
			if clients := server.Clients; clients != nil {
				lines = append(lines, fmt.Sprintf("%s verifies clients with %d CAs, fallback %t",
					head, len(clients.Anchors), clients.Fallback))
			}
			if len(server.Hosts) == 0 {
				lines = append(lines, head+" has no host")
			}
			for _, host := range server.Hosts {
				lines = append(lines, describeHost(head, host, backends)...)
			}
		}
	}
	return lines
}

func describeHost(head string, host model.VirtualHost, backends map[string]model.Backend) (lines []string) {
	hostname := host.Hostname
	if hostname == "" {
		hostname = "any"
	}
	if len(host.Rules) == 0 {
		return []string{head + " host " + hostname + " has no rule"}
	}
	for _, rule := range host.Rules {
		lines = append(lines, fmt.Sprintf("%s host %s | %s/%d %s => %s", head, hostname,
			rule.Route.Name, rule.Index, describeMatch(rule.Match), describeAction(rule, backends)))
	}
	return lines
}

func describeMatch(match model.Match) string {
	text := fmt.Sprintf("%s %s", match.Path.Kind, match.Path.Value)
	if match.Method != "" {
		text = match.Method + " " + text
	}
	if match.GRPC {
		text = "grpc " + text
	}
	for _, header := range match.Headers {
		text += fmt.Sprintf(" header %s %s %s", header.Name, header.Kind, header.Value)
	}
	for _, query := range match.Query {
		text += fmt.Sprintf(" query %s %s %s", query.Name, query.Kind, query.Value)
	}
	return text
}

func describeAction(rule model.Rule, backends map[string]model.Backend) string {
	var parts []string
	for _, header := range rule.RequestHeaders.Set {
		parts = append(parts, fmt.Sprintf("set %s=%s", header.Name, header.Value))
	}
	for _, header := range rule.RequestHeaders.Add {
		parts = append(parts, fmt.Sprintf("add %s=%s", header.Name, header.Value))
	}
	for _, name := range rule.RequestHeaders.Remove {
		parts = append(parts, "remove "+name)
	}
	if rule.Redirect != nil {
		redirect := fmt.Sprintf("redirect %d scheme=%s host=%s port=%d",
			rule.Redirect.StatusCode, rule.Redirect.Scheme, rule.Redirect.Hostname, rule.Redirect.Port)
		if rule.Redirect.Path != nil {
			redirect += fmt.Sprintf(" path=%s %s", rule.Redirect.Path.Kind, rule.Redirect.Path.Value)
		}
		return strings.Join(append(parts, redirect), ", ")
	}
	if len(rule.Split) == 0 {
		parts = append(parts, "500")
	}
	for _, share := range rule.Split {
		if share.Backend == "" {
			parts = append(parts, fmt.Sprintf("500*%d", share.Weight))
			continue
		}
		parts = append(parts, fmt.Sprintf("%s*%d", describeBackend(share.Backend, backends), share.Weight))
	}
	for _, mirror := range rule.Mirrors {
		parts = append(parts, fmt.Sprintf("mirror %d/%d to %s", mirror.Numerator, mirror.Denominator,
			describeBackend(mirror.Backend, backends)))
	}
	return strings.Join(parts, ", ")
}

func describeBackend(name string, backends map[string]model.Backend) string {
	backend, known := backends[name]
	if !known {
		return "a backend that the Gateway does not have"
	}
	kind := "plaintext"
	if backend.Trust != nil {
		kind = string(backend.Trust.Mode)
		if offered := strings.Join(backend.Trust.ALPN, " "); offered != string(backend.Protocol) {
			kind += fmt.Sprintf(" offering %q", offered)
		}
	}
	return fmt.Sprintf("%s %s %s", backend.StatName(), backend.Protocol, kind)
}

func describePath(path model.Path) string {
	end := "plaintext"
	switch {
	case path.FaultReason != "":
		end = "500 " + path.FaultReason
	case !path.Ours:
		end = "decided by " + path.Controller
	case path.Policy != nil:
		end = path.Policy.Policy.Name
	case path.Passthrough:
		end = "passthrough"
	}
	if path.Mirror {
		end += " (mirror)"
	}
	return fmt.Sprintf("%s %s %s/%d %v -> %s:%d: %s", path.Gateway, path.Listener, path.Route, path.Rule,
		path.Hostnames, path.Service, path.Port, end)
}

// caseFiles are the files of testdata/gateway.
func caseFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "gateway", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	return files
}

func sortedKeys[V any](values map[string]V) []string { return slices.Sorted(maps.Keys(values)) }
