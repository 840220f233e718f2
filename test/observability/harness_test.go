package observability

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/operator"
	"github.com/backendtls/backendtls/operator/apitest"
	"github.com/backendtls/backendtls/test/pki"
	"github.com/backendtls/backendtls/test/port"
)

const (
	system = "backendtls-system"
	pod    = "backendtls-operator-1"
	// token is what this replica proves itself with, and a secret.
	token = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0LXRva2VuLW9mLXRoZS1vcGVyYXRvcg.c2lnbmF0dXJl"
)

// shop is a cluster with a shop in it, and the operator that runs there.
type shop struct {
	t       *testing.T
	api     *apitest.Server
	log     record
	metrics string
	// secrets are texts that nobody may be shown.
	secrets []string
	ca      *pki.Identity
}

// record is a log that may be read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(data []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(data)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// open starts the operator; it ends with the test. It can be done once in a
// process, because controller-runtime's metrics are the process's.
func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, api: apitest.New(t)}
	for _, name := range []string{"shop", system} {
		s.api.Put(&corev1.Namespace{Name: name, Labels: map[string]string{"kubernetes.io/metadata.name": name}})
	}
	s.api.Put(
		&corev1.Pod{
			Namespace: system, Name: pod,
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "operator", Image: "example.com/operator:1"}}},
		},
		&corev1.Secret{Namespace: system, Name: "backendtls-xds-ca"},
	)
	s.keys()
	s.apply("testdata/shop.yaml")
	s.run()
	return s
}

// run starts the operator and waits until it leads.
func (s *shop) run() {
	s.t.Helper()
	tokenFile := filepath.Join(s.t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(token), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.secrets = append(s.secrets, token, "c2VjcmV0LXRva2VuLW9mLXRoZS1vcGVyYXRvcg")
	address := func() string { return fmt.Sprintf("127.0.0.1:%d", port.Free(s.t)) }
	cluster := operator.Cluster{
		REST: s.api.Config(), Namespace: system, PodName: pod, PodIP: "127.0.0.1",
		XDSAddress: address(), LedgerAddress: address(), HealthAddress: address(), MetricsAddress: address(),
		LedgerToken: tokenFile,
		Log:         slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	s.metrics = "http://" + cluster.MetricsAddress + "/metrics"
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Errorf("the operator ended with %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
		if s.t.Failed() {
			s.t.Logf("log:\n%s", s.log.String())
		}
	})
	s.eventually("the operator leads", func() bool {
		return strings.Contains(s.scrape(), "backendtls_leader 1")
	})
}

// apply stores the objects of a file.
func (s *shop) apply(path string) {
	s.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
			s.t.Fatal(err)
		}
		s.api.Put(object)
	}
}

// keys puts certificates and keys where the operator reads them, some of them
// broken, so that it has something to say about them.
func (s *shop) keys() {
	s.t.Helper()
	now := time.Now()
	identity := func(issuer *pki.Identity, r pki.Request) *pki.Identity {
		r.NotBefore, r.NotAfter = now.Add(-time.Hour), now.Add(time.Hour)
		made, err := pki.SelfSigned(r)
		if issuer != nil {
			made, err = issuer.Issue(r)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return made
	}
	s.ca = identity(nil, pki.Request{Name: "ca", CA: true})
	for _, name := range []string{"front", "client"} {
		leaf := identity(s.ca, pki.Request{Name: name, DNS: []string{name + ".example.com"}})
		s.api.Put(s.pair(name, leaf, nil))
	}
	unreadable := identity(s.ca, pki.Request{Name: "unreadable", DNS: []string{"unreadable.example.com"}})
	// A key with a line that is cut short, and a password in its place.
	s.api.Put(s.pair("unreadable", unreadable, func(key string) string {
		return strings.Replace(key, "\n", "\nhunter2-is-a-password\n", 1)
	}))
	s.secrets = append(s.secrets, "hunter2", "PRIVATE KEY")
	list, err := s.ca.CRL(pki.Revocation{ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(48 * time.Hour)})
	if err != nil {
		s.t.Fatal(err)
	}
	s.api.Put(
		&corev1.ConfigMap{Namespace: "shop", Name: "ca", Data: map[string]string{"ca.crt": string(s.ca.PEM())}},
		&corev1.ConfigMap{Namespace: "shop", Name: "crl", Data: map[string]string{"ca.crl": string(list)}},
	)
}

// pair is a Secret whose key nobody may be shown.
func (s *shop) pair(name string, identity *pki.Identity, edit func(string) string) *corev1.Secret {
	s.t.Helper()
	raw, err := identity.KeyPEM()
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(raw), "\n") {
		if len(line) >= 24 && !strings.HasPrefix(line, "-----") {
			s.secrets = append(s.secrets, line, line[4:20])
		}
	}
	key := string(raw)
	if edit != nil {
		key = edit(key)
	}
	return &corev1.Secret{
		Namespace: "shop", Name: name, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": identity.ChainPEM(), "tls.key": []byte(key)},
	}
}

// policy is BackendTLSPolicy api with these options; its status stays.
func (s *shop) policy(options map[string]string) {
	s.t.Helper()
	object := s.live()
	if object == nil {
		object = &gatewayv1.BackendTLSPolicy{Namespace: "shop", Name: "api"}
	}
	object.Spec = gatewayv1.BackendTLSPolicySpec{
		TargetRefs: []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
			Kind: "Service", Name: "api",
		}},
		Validation: gatewayv1.BackendTLSPolicyValidation{
			CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "ca"}},
			Hostname:          "api.example.com",
		},
		Options: map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{},
	}
	for key, value := range options {
		object.Spec.Options[gatewayv1.AnnotationKey("backendtls.dev/"+key)] = gatewayv1.AnnotationValue(value)
	}
	s.api.Put(object)
}

// mode are the options of an insecure mode that ends in an hour.
func mode(name, reason string) map[string]string {
	now := time.Now().UTC()
	return map[string]string{
		"mode": name, "mode-since": now.Add(-time.Minute).Format(time.RFC3339),
		"mode-until": now.Add(time.Hour).Format(time.RFC3339), "mode-reason": reason,
	}
}

// live is the policy as it is on the API server, nil if it is not there.
func (s *shop) live() *gatewayv1.BackendTLSPolicy {
	s.t.Helper()
	object := &gatewayv1.BackendTLSPolicy{Namespace: "shop", Name: "api"}
	if !s.api.Get(object) {
		return nil
	}
	return object
}

// scrape is what Prometheus gets.
func (s *shop) scrape() string {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.metrics, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "" // Not yet.
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Errorf("/metrics: %s, %v", response.Status, err)
	}
	return string(body)
}

// eventually waits for a condition, a minute at the most.
func (s *shop) eventually(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
