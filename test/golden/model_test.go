package golden_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/resolve"
)

// The forms of model.yaml: the model as a reader wants it, certificates by
// their fingerprints, digests left out.
type modelView struct {
	Problems []string               `json:"problems,omitempty"`
	Gateways map[string]gatewayView `json:"gateways"`
	Paths    []pathView             `json:"paths"`
	Refs     map[string][]string    `json:"refs"`
	Next     string                 `json:"nextDeadline,omitempty"`
}

type gatewayView struct {
	Address    string                 `json:"address"`
	Unresolved bool                   `json:"unresolved,omitempty"`
	Listeners  []listenerView         `json:"listeners,omitempty"`
	Backends   map[string]backendView `json:"backends,omitempty"`
}

type listenerView struct {
	Port     int32          `json:"port"`
	Declared int32          `json:"declared"`
	Protocol model.Protocol `json:"protocol"`
	Servers  []serverView   `json:"servers"`
}

type serverView struct {
	Name         string              `json:"name"`
	Hostname     string              `json:"hostname"`
	Certificates []string            `json:"certificates,omitempty"`
	Clients      *clientsView        `json:"clients,omitempty"`
	Hosts        map[string][]string `json:"hosts"`
}

type clientsView struct {
	Anchors  []string `json:"anchors"`
	Fallback bool     `json:"fallback,omitempty"`
}

type backendView struct {
	PortName string                `json:"portName,omitempty"`
	Protocol model.BackendProtocol `json:"protocol"`
	Mirror   bool                  `json:"mirror,omitempty"`
	Trust    *trustView            `json:"trust"`
	Written  *trustView            `json:"written,omitempty"`
}

type trustView struct {
	Policy     string     `json:"policy"`
	Mode       model.Mode `json:"mode"`
	Until      string     `json:"until,omitempty"`
	SNI        string     `json:"sni"`
	Anchors    []string   `json:"anchors,omitempty"`
	IgnoreTime bool       `json:"ignoreTime,omitempty"`
	Names      []string   `json:"names,omitempty"`
	Leaves     []string   `json:"leaves,omitempty"`
	CRLs       []string   `json:"crls,omitempty"`
	Chain      bool       `json:"revokeChain,omitempty"`
	Identity   string     `json:"clientCertificate,omitempty"`
	MinTLS     string     `json:"minTLSVersion,omitempty"`
	MaxTLS     string     `json:"maxTLSVersion,omitempty"`
	Suites     []string   `json:"suites,omitempty"`
	Curves     []string   `json:"curves,omitempty"`
	Algorithms []string   `json:"signatureAlgorithms,omitempty"`
	ALPN       []string   `json:"alpn,omitempty"`
}

type pathView struct {
	Path    string        `json:"path"`
	Backend string        `json:"backend,omitempty"`
	Fault   string        `json:"fault,omitempty"`
	Policy  *decisionView `json:"policy,omitempty"`
}

type decisionView struct {
	Name    string     `json:"name"`
	Mode    string     `json:"mode"`
	Reason  string     `json:"reason,omitempty"`
	Ignored []string   `json:"ignored,omitempty"`
	Trust   *trustView `json:"trust,omitempty"`
	Written *trustView `json:"written,omitempty"`
}

func modelYAML(t *testing.T, problems []manifest.Problem, result resolve.Result) string {
	t.Helper()
	known := readCertificates(t)
	view := modelView{
		Gateways: map[string]gatewayView{},
		Paths:    make([]pathView, 0, len(result.Paths)),
		Refs:     map[string][]string{},
		Next:     moment(result.NextDeadline),
	}
	for _, problem := range problems {
		view.Problems = append(view.Problems, withoutLines(problem.String()))
	}
	// Without their places their order is that of the text.
	slices.Sort(view.Problems)
	for key, gateway := range result.Gateways {
		view.Gateways[key.String()] = viewGateway(known, gateway)
	}
	for i := range result.Paths {
		view.Paths = append(view.Paths, viewPath(known, &result.Paths[i]))
	}
	for object, gateways := range result.Refs {
		view.Refs[object.String()] = texts(gateways)
	}
	return withoutLines(marshal(t, view))
}

func viewGateway(known certificates, gateway model.Gateway) gatewayView {
	view := gatewayView{
		Address: gateway.Address, Unresolved: gateway.Unresolved, Backends: map[string]backendView{},
	}
	for _, listener := range gateway.Listeners {
		shown := listenerView{Port: listener.Port, Declared: listener.Declared, Protocol: listener.Protocol}
		for _, server := range listener.Servers {
			shown.Servers = append(shown.Servers, viewServer(known, server))
		}
		view.Listeners = append(view.Listeners, shown)
	}
	for _, backend := range gateway.Backends {
		shown := backendView{
			PortName: backend.PortName, Protocol: backend.Protocol, Mirror: backend.Mirror,
			Trust: viewTrust(known, backend.Trust),
		}
		if backend.Trust != nil && backend.Trust.Digest() != backend.Written.Digest() {
			shown.Written = viewTrust(known, backend.Written)
		}
		view.Backends[backend.Name()] = shown
	}
	return view
}

func viewServer(known certificates, server model.Server) serverView {
	view := serverView{Name: server.Name, Hostname: server.Hostname, Hosts: map[string][]string{}}
	for _, pair := range server.Certificates {
		view.Certificates = append(view.Certificates, pair.Secret.String())
	}
	if clients := server.Clients; clients != nil {
		view.Clients = &clientsView{Fallback: clients.Fallback}
		for _, der := range clients.Anchors {
			view.Clients.Anchors = append(view.Clients.Anchors, known.name(pin.OfDER(der)))
		}
	}
	for _, host := range server.Hosts {
		rules := make([]string, len(host.Rules))
		for i := range host.Rules {
			rules[i] = viewRule(&host.Rules[i])
		}
		view.Hosts[host.Hostname] = rules
	}
	return view
}

// viewRule is a rule in one line: where it is from, what it matches, and what
// happens then.
func viewRule(rule *model.Rule) string {
	parts := []string{fmt.Sprintf("%s rule %d:", rule.Route, rule.Index), viewMatch(rule.Match)}
	headers := rule.RequestHeaders
	for _, header := range headers.Set {
		parts = append(parts, fmt.Sprintf("set(%s: %s)", header.Name, header.Value))
	}
	for _, header := range headers.Add {
		parts = append(parts, fmt.Sprintf("add(%s: %s)", header.Name, header.Value))
	}
	for _, name := range headers.Remove {
		parts = append(parts, fmt.Sprintf("remove(%s)", name))
	}
	parts = append(parts, "=>")
	switch {
	case rule.Redirect != nil:
		parts = append(parts, viewRedirect(rule.Redirect))
	case len(rule.Split) == 0:
		parts = append(parts, "500")
	}
	for _, share := range rule.Split {
		name := share.Backend
		if name == "" {
			name = "500"
		}
		parts = append(parts, fmt.Sprintf("%s*%d", name, share.Weight))
	}
	for _, mirror := range rule.Mirrors {
		parts = append(parts, fmt.Sprintf("mirror(%d/%d %s)", mirror.Numerator, mirror.Denominator, mirror.Backend))
	}
	return strings.Join(parts, " ")
}

func viewMatch(match model.Match) string {
	parts := []string{fmt.Sprintf("%s %s", match.Path.Kind, match.Path.Value)}
	if match.GRPC {
		parts = append(parts, "gRPC")
	}
	if match.Method != "" {
		parts = append(parts, match.Method)
	}
	for _, header := range match.Headers {
		parts = append(parts, fmt.Sprintf("header(%s %s %s)", header.Name, header.Kind, header.Value))
	}
	for _, query := range match.Query {
		parts = append(parts, fmt.Sprintf("query(%s %s %s)", query.Name, query.Kind, query.Value))
	}
	return strings.Join(parts, " ")
}

func viewRedirect(redirect *model.Redirect) string {
	text := fmt.Sprintf("redirect(%d scheme=%q hostname=%q port=%d", redirect.StatusCode, redirect.Scheme,
		redirect.Hostname, redirect.Port)
	if redirect.Path != nil {
		text += fmt.Sprintf(" path=%s %q", redirect.Path.Kind, redirect.Path.Value)
	}
	return text + ")"
}

// certificates are those of testdata/certificates, by their pins.
type certificates map[pin.Pin]string

func readCertificates(t *testing.T) certificates {
	t.Helper()
	known := certificates{}
	files, err := filepath.Glob("testdata/certificates/*.pem")
	if err != nil || len(files) == 0 {
		t.Fatalf("no certificates: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		if block == nil {
			t.Fatalf("%s holds no PEM", file)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		known[pin.OfCertificate(certificate)] = filepath.Base(file)
		known[pin.OfKey(certificate)] = "key of " + filepath.Base(file)
	}
	return known
}

// name is the file that a pin is of, or the pin.
func (c certificates) name(p pin.Pin) string {
	if file, found := c[p]; found {
		return file
	}
	return p.String()
}

func viewTrust(known certificates, trust *model.Trust) *trustView {
	if trust == nil {
		return nil
	}
	view := &trustView{
		Policy: trust.Policy.String(), Mode: trust.Mode, Until: moment(trust.Until), SNI: trust.SNI,
		IgnoreTime: trust.IgnoreTime, ALPN: trust.ALPN,
		Chain:  trust.RevokeChain,
		Suites: trust.Suites, Curves: trust.Curves, Algorithms: trust.SignatureAlgorithms,
	}
	for _, der := range trust.Anchors {
		view.Anchors = append(view.Anchors, known.name(pin.OfDER(der)))
	}
	if trust.Identity != nil {
		view.Identity = trust.Identity.String()
	}
	for _, der := range trust.CRLs {
		view.CRLs = append(view.CRLs, viewCRL(der))
	}
	if trust.MinTLSVersion != 0 {
		view.MinTLS = tls.VersionName(trust.MinTLSVersion)
	}
	if trust.MaxTLSVersion != 0 {
		view.MaxTLS = tls.VersionName(trust.MaxTLSVersion)
	}
	for _, leaf := range trust.Leaves {
		view.Leaves = append(view.Leaves, known.name(leaf))
	}
	for _, name := range trust.Names {
		view.Names = append(view.Names, fmt.Sprintf("%s %s", name.Kind, name.Value))
	}
	return view
}

// viewCRL is a revocation list by its issuer, its end and what is on it.
func viewCRL(der []byte) string {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s until %s, %d revoked", list.Issuer, moment(list.NextUpdate), len(list.RevokedCertificateEntries))
}

func viewPath(known certificates, path *model.Path) pathView {
	view := pathView{
		Path: fmt.Sprintf("%s (%s) %s -> %s rule %d %q -> %s:%d %s", path.Gateway, path.Controller, path.Listener,
			path.Route, path.Rule, path.Hostnames, path.Service, path.Port, path.PortName),
		Backend: path.Backend,
	}
	if path.Passthrough {
		view.Path += "passthrough"
	}
	if path.Mirror {
		view.Path += "mirror"
	}
	if path.FaultReason != "" || path.Fault != "" {
		view.Fault = path.FaultReason + ": " + path.Fault
	}
	if path.Policy == nil {
		return view
	}
	view.Policy = &decisionView{
		Name:    path.Policy.Policy.String(),
		Mode:    strings.TrimSpace(fmt.Sprintf("%s %s", path.Policy.Requested, path.Policy.State)),
		Reason:  path.Policy.Reason,
		Ignored: path.Policy.Ignored,
	}
	if path.Backend == "" {
		// Where there is a Backend, it shows them.
		view.Policy.Trust, view.Policy.Written = viewTrust(known, path.Policy.Trust), viewTrust(known, path.Policy.Written)
	}
	return view
}

func texts[T fmt.Stringer](values []T) []string {
	shown := make([]string, len(values))
	for i, value := range values {
		shown[i] = value.String()
	}
	return shown
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func marshal(t *testing.T, value any) string {
	t.Helper()
	encoded, err := yaml.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(encoded)
}
