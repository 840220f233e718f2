package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/test/pki"
)

// The values of spec.tls.frontend.default, by the CA that clients are verified
// with.
const (
	nobodyAsked = "{}"
	strictly    = "{validation: {caCertificateRefs: [%s]}}"
	loosely     = "{validation: {mode: AllowInsecureFallback, caCertificateRefs: [%s]}}"
)

const (
	refOurs  = `{group: "", kind: ConfigMap, name: ours}`
	refOther = `{group: "", kind: ConfigMap, name: other}`
	refGone  = `{group: "", kind: ConfigMap, name: gone}`
)

// door is an HTTPS listener in front of a backend that says what it was told of
// the client.
type door struct {
	*world

	host   string
	ca     *pki.Identity
	server *pki.Identity
	// visitors are clients by what they present.
	visitors map[string]*pki.Identity
}

func newDoor(t *testing.T) *door {
	t.Helper()
	i := issuer{t: t, now: time.Now()}
	ours, other := i.authority("ours"), i.authority("other")
	client := func(r *pki.Request) { r.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }
	d := &door{
		world: newWorld(t), host: "door.test", ca: ours, server: i.leaf(ours, "door.test"),
		visitors: map[string]*pki.Identity{
			"ours": i.leaf(ours, "client", client), "other": i.leaf(other, "client", client), "none": nil,
		},
	}
	key, err := d.server.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	d.write("ca.yaml", configMap("ours", ours.PEM())+configMap("other", other.PEM()))
	d.write("server.yaml", fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: server}\ntype: kubernetes.io/tls\n"+
		"stringData: {tls.crt: %q, tls.key: %q}\n", d.server.ChainPEM(), key))
	d.write("service.yaml", service("api", d.host, d.told(), ""))
	return d
}

// told is a backend that answers with what the header says.
func (d *door) told() netip.AddrPort {
	d.t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(randomLoopback().String(), "0"))
	if err != nil {
		d.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.Join(r.Header.Values("X-Client-Cert-Verified"), ","))
		})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	d.t.Cleanup(func() { _ = server.Close(); <-done })
	return netip.MustParseAddrPort(listener.Addr().String())
}

// ask sets what is asked of clients.
func (d *door) ask(frontend string) {
	d.t.Helper()
	d.write("base.yaml", fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: backendtls}
spec: {controllerName: backendtls.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web}
spec:
  gatewayClassName: backendtls
  addresses: [{type: IPAddress, value: %s}]
  tls: {frontend: {default: %s}}
  listeners:
  - {name: https, protocol: HTTPS, port: %d, tls: {certificateRefs: [{name: server}]}}
`, d.gateway.Addr(), frontend, d.gateway.Port()))
}

// settled waits until status says the same of a generation behind that one, and
// returns the generation.
func (d *door) settled(behind int64, status metav1.ConditionStatus) (generation int64) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Programmed=%s behind generation %d", status, behind), func() bool {
		found, _, _ := readStatus[gatewayv1.GatewayStatus](d.world, "Gateway", "web")
		for _, condition := range found.Conditions {
			if condition.Type == "Programmed" && condition.Status == status && condition.ObservedGeneration > behind {
				generation = condition.ObservedGeneration
				return true
			}
		}
		return false
	})
	return generation
}

// enter opens one connection, which is never replaced by another.
func (d *door) enter(visitor string, http2 bool) (*http.ClientConn, error) {
	d.t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(d.ca.Certificate)
	transport := &http.Transport{Protocols: &http.Protocols{}, TLSClientConfig: &tls.Config{
		RootCAs: roots, ServerName: d.host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if identity := d.visitors[visitor]; identity != nil {
				return new(identity.TLS()), nil
			}
			return &tls.Certificate{}, nil
		},
	}}
	transport.Protocols.SetHTTP1(!http2)
	transport.Protocols.SetHTTP2(http2)
	connection, err := transport.NewClientConn(d.t.Context(), "https", d.gateway.String())
	if err != nil {
		return nil, err
	}
	d.t.Cleanup(func() { _ = connection.Close() })
	return connection, nil
}

// says is the status, and what the backend was told, over a connection.
func (d *door) says(connection *http.ClientConn) string {
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodGet, "https://"+d.host+"/", http.NoBody)
	if err != nil {
		d.t.Fatal(err)
	}
	response, err := connection.RoundTrip(request)
	if err != nil {
		return "closed"
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "closed"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", response.StatusCode, body))
}

// TestAnEditOfTheListenerGovernsTheConnectionsThatItHas: from Programmed on, what
// the Gateway asks of clients decides about every request, also on connections
// that were let in by what it asked before.
func TestAnEditOfTheListenerGovernsTheConnectionsThatItHas(t *testing.T) {
	d := newDoor(t)
	steps := []struct {
		says   string
		before string
		after  string
		// first and then are what each visitor gets over one connection; "" for who
		// does not get in at first.
		first, then map[string]string
	}{
		{
			"fallback becomes strict", fmt.Sprintf(loosely, refOurs), fmt.Sprintf(strictly, refOurs),
			map[string]string{"ours": "200 true", "other": "200 false", "none": "200 false"},
			map[string]string{"ours": "200 true", "other": "421", "none": "421"},
		},
		{
			"strict becomes fallback", fmt.Sprintf(strictly, refOurs), fmt.Sprintf(loosely, refOurs),
			map[string]string{"ours": "200 true"},
			map[string]string{"ours": "200 true"},
		},
		{
			"the CA is replaced", fmt.Sprintf(strictly, refOurs), fmt.Sprintf(strictly, refOther),
			map[string]string{"ours": "200 true"},
			map[string]string{"ours": "421"},
		},
		{
			"the CA is replaced under fallback", fmt.Sprintf(loosely, refOurs), fmt.Sprintf(loosely, refOther),
			map[string]string{"ours": "200 true", "other": "200 false"},
			map[string]string{"ours": "200 false", "other": "200 false"},
		},
		{
			"one of two CAs is taken away", fmt.Sprintf(strictly, refOurs+", "+refOther), fmt.Sprintf(strictly, refOurs),
			map[string]string{"ours": "200 true", "other": "200 true"},
			map[string]string{"ours": "421", "other": "421"},
		},
		{
			"a CA is added", fmt.Sprintf(strictly, refOurs), fmt.Sprintf(strictly, refOurs+", "+refOther),
			map[string]string{"ours": "200 true"},
			map[string]string{"ours": "200 true"},
		},
		{
			"clients are asked at last", nobodyAsked, fmt.Sprintf(strictly, refOurs),
			map[string]string{"ours": "200", "none": "200"},
			map[string]string{"ours": "421", "none": "421"},
		},
		{
			"clients are asked no more", fmt.Sprintf(loosely, refOurs), nobodyAsked,
			map[string]string{"ours": "200 true", "none": "200 false"},
			map[string]string{"ours": "200", "none": "200"},
		},
	}
	d.ask(steps[0].before)
	d.start()
	generation := int64(0)
	for i, step := range steps {
		if i > 0 {
			d.ask(step.before)
		}
		if i == 0 || step.before != steps[i-1].after {
			generation = d.settled(generation, metav1.ConditionTrue)
		}
		connections := d.enterAll(step.says, step.first)
		d.ask(step.after)
		generation = d.settled(generation, metav1.ConditionTrue)
		for how, connection := range connections {
			if got, want := d.says(connection), step.then[strings.Fields(how)[0]]; got != want {
				t.Errorf("%s: %s: then %s, want %s", step.says, how, got, want)
			}
		}
	}
}

// enterAll opens a connection of each visitor in HTTP/1.1 and HTTP/2.
func (d *door) enterAll(step string, first map[string]string) map[string]*http.ClientConn {
	d.t.Helper()
	connections := map[string]*http.ClientConn{}
	for visitor, want := range first {
		for _, http2 := range []bool{false, true} {
			how := fmt.Sprintf("%s http2=%t", visitor, http2)
			connection, err := d.enter(visitor, http2)
			if err != nil {
				d.t.Fatalf("%s: %s: %v", step, how, err)
			}
			connections[how] = connection
			if got := d.says(connection); got != want {
				d.t.Errorf("%s: %s: at first %s, want %s", step, how, got, want)
			}
		}
	}
	return connections
}

// TestAListenerWhoseLastCAIsGoneLetsNobodyIn: nothing listens, and connections
// from before end with their next answer.
func TestAListenerWhoseLastCAIsGoneLetsNobodyIn(t *testing.T) {
	d := newDoor(t)
	d.ask(fmt.Sprintf(loosely, refOurs))
	d.start()
	generation := d.settled(0, metav1.ConditionTrue)
	connections := d.enterAll("fallback", map[string]string{"ours": "200 true", "none": "200 false"})
	d.ask(fmt.Sprintf(loosely, refGone))
	d.settled(generation, metav1.ConditionFalse)
	d.eventually("nobody gets in", func() bool {
		connection, err := d.enter("ours", false)
		return err != nil || d.says(connection) == "closed"
	})
	for how, connection := range connections {
		d.eventually(how+" is closed", func() bool { return d.says(connection) == "closed" })
	}
}
