package authn_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/operator/authn"
	"github.com/backendtls/backendtls/operator/xds"
)

var web = gwapi.KeyOf(gwapi.KindGateway, "shop", "web")

// fleet is one Envoy: pod envoy-1 of Gateway shop/web.
func fleet(namespace, account, pod string, uid types.UID) (gwapi.Key, error) {
	switch {
	case namespace != "shop" || account != "backendtls-web" || pod != "envoy-1":
		return gwapi.Key{}, errors.New("no pod of a fleet")
	case uid != "uid-1":
		return gwapi.Key{}, fmt.Errorf("the pod of that name has another uid")
	default:
		return web, nil
	}
}

// rig is a real xDS server over TLS, in front of the authenticator.
type rig struct {
	*apiServer
	conn *grpc.ClientConn
	logs *safeBuffer

	mu   sync.Mutex
	errs []error
}

// Identify is the adapter of the wiring, with a memory.
func (r *rig) identify(a *authn.Authenticator) func(context.Context) (xds.Peer, error) {
	return func(ctx context.Context) (xds.Peer, error) {
		p, err := a.Identify(ctx)
		r.mu.Lock()
		r.errs = append(r.errs, err)
		r.mu.Unlock()
		return xds.Peer(p), err
	}
}

type identifyFunc func(context.Context) (xds.Peer, error)

func (f identifyFunc) Identify(ctx context.Context) (xds.Peer, error) { return f(ctx) }

// lastError is what the authenticator said last.
func (r *rig) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) == 0 {
		return nil
	}
	return r.errs[len(r.errs)-1]
}

type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"xds"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}, roots
}

func newRig(t *testing.T, lookup func(string, string, string, types.UID) (gwapi.Key, error)) *rig {
	t.Helper()
	r := &rig{apiServer: newAPIServer(t), logs: &safeBuffer{}}
	log := slog.New(slog.NewJSONHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	envoys, err := authn.New(authn.Config{Reviewer: r.client(), Lookup: lookup, Audience: audience, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	config, roots := selfSigned(t)
	server, err := xds.New(xds.Config{
		Authenticator: identifyFunc(r.identify(envoys)), Credentials: credentials.NewTLS(config), Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	listening, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listening) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	server.Publish(web, xds.Publication{Resources: envoy.Resources{
		Clusters: map[string]envoy.Cluster{"api": {Cluster: &clusterv3.Cluster{Name: "api"}}},
	}})
	r.conn, err = grpc.NewClient(listening.Addr().String(),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			RootCAs: roots, ServerName: "xds", MinVersion: tls.VersionTLS13,
		})), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.conn.Close() })
	return r
}

const delta = discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName

// ask opens a stream with these authorization headers and asks for clusters.
func (r *rig) ask(method string, message proto.Message, headers ...string) grpc.ClientStream {
	r.t.Helper()
	ctx := r.t.Context()
	for _, h := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
	}
	stream, err := r.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		r.t.Fatal(err)
	}
	// The server may have ended the stream already.
	_ = stream.SendMsg(message)
	return stream
}

func allClusters() *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster"}
}

// answer is what came first on the stream.
func answer(stream grpc.ClientStream) (*discoveryv3.DeltaDiscoveryResponse, error) {
	var response discoveryv3.DeltaDiscoveryResponse
	err := stream.RecvMsg(&response)
	return &response, err
}

func TestAnEnvoyWithTheTokenOfItsPodIsServedItsGateway(t *testing.T) {
	for name, form := range map[string]string{
		"as RFC 6750 writes it": "Bearer %s",
		"scheme in lower case":  "bearer %s",
		"bare":                  "%s",
		"with the new line of a file at its end ": "Bearer %s ",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fleet)
			token := r.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
			response, err := answer(r.ask(delta, allClusters(), fmt.Sprintf(form, token)))
			if err != nil || len(response.GetResources()) != 1 || response.GetResources()[0].GetName() != "api" {
				t.Fatalf("got %v, %v, want the cluster api", response, err)
			}
			r.checkSecret(token)
		})
	}
}

// checkSecret looks for the token in what was logged or said.
func (r *rig) checkSecret(token string) {
	r.t.Helper()
	said := r.logs.String()
	r.mu.Lock()
	for _, err := range r.errs {
		said += fmt.Sprint(err)
	}
	r.mu.Unlock()
	for _, part := range append(strings.Split(token, "."), token) {
		if len(part) >= 8 && strings.Contains(said, part) {
			r.t.Errorf("%q of the token is in %s", part, said)
		}
	}
}

func TestWhoeverIsNotProvenToBeAnEnvoyIsRefused(t *testing.T) {
	good := func() grant { return ofPod("shop", "backendtls-web", "envoy-1", "uid-1") }
	with := func(change func(*grant)) func(*rig) []string {
		return func(r *rig) []string {
			g := good()
			change(&g)
			return []string{"Bearer " + r.issue(g)}
		}
	}
	answering := func(change func(*authenticationv1.TokenReviewStatus)) func(*rig) []string {
		return func(r *rig) []string {
			r.answering(func(_ http.ResponseWriter, review *authenticationv1.TokenReview) bool {
				change(&review.Status)
				return false
			})
			return []string{"Bearer " + r.issue(good())}
		}
	}
	for name, test := range map[string]struct {
		headers func(*rig) []string
		words   string
		code    codes.Code // Unauthenticated if zero
		// unasked: the API server need not be asked.
		unasked bool
	}{
		"no token": {
			headers: func(*rig) []string { return nil }, words: "no authorization header", unasked: true,
		},
		"an empty token": {
			headers: func(*rig) []string { return []string{"Bearer "} }, words: "no authorization header", unasked: true,
		},
		"two headers": {
			headers: func(r *rig) []string { return []string{"Bearer " + r.issue(good()), "Bearer " + r.issue(good())} },
			words:   "several authorization headers", unasked: true,
		},
		"two tokens in a header": {
			headers: func(r *rig) []string { return []string{"Bearer " + r.issue(good()) + ", Bearer x"} },
			words:   "several authorization headers", unasked: true,
		},
		"another scheme": {
			headers: func(r *rig) []string { return []string{"Basic " + r.issue(good())} }, words: "scheme", unasked: true,
		},
		"more than 16 KiB": {
			headers: func(r *rig) []string { return []string{"Bearer " + r.issue(good()) + strings.Repeat("A", 16<<10)} },
			words:   "longer than 16384 bytes", unasked: true,
		},
		"no JWT": {
			headers: func(*rig) []string { return []string{"Bearer 0123456789abcdef"} }, words: "no service account token",
			unasked: true,
		},
		"a payload that is no JSON": {
			headers: func(*rig) []string { return []string{"Bearer aaaa.AAAA.cccc"} }, words: "no service account token",
			unasked: true,
		},
		"signed by somebody else": {
			headers: func(r *rig) []string { return []string{"Bearer " + r.issue(good()) + "A"} },
			words:   "cryptographic primitive",
		},
		"another audience": {
			headers: with(func(g *grant) { g.audiences = []string{"https://kubernetes.default.svc"} }),
			words:   `not for the audience "backendtls-xds"`, unasked: true,
		},
		"expired": {
			headers: with(func(g *grant) { g.expires = time.Now().Add(-time.Second) }), words: "expired at", unasked: true,
		},
		"without an expiry": {
			headers: with(func(g *grant) { g.noExpiry = true }), words: "no expiry", unasked: true,
		},
		"not bound to a pod": {
			headers: with(func(g *grant) { g.unbound = true }), words: "not bound to a pod",
		},
		"bound to a pod without its UID": {
			headers: with(func(g *grant) { g.onlyPodKey = true }), words: "not bound to a pod",
		},
		"another UID": {
			headers: with(func(g *grant) { g.uid = "uid-2" }), words: "another uid",
		},
		"another ServiceAccount": {
			headers: with(func(g *grant) { g.account = "default" }), words: "no pod of a fleet",
		},
		"another namespace": {
			headers: with(func(g *grant) { g.namespace = "bank" }), words: "no pod of a fleet",
		},
		"a person": {
			headers: with(func(g *grant) { g.user = "alice" }), words: `user "alice", want a service account`,
		},
		"a ServiceAccount with a colon": {
			headers: with(func(g *grant) { g.user = "system:serviceaccount:shop:backendtls-web:x" }), words: "want a service account",
		},
		"a pod that was deleted": {
			headers: func(r *rig) []string {
				r.gone("uid-1")
				return []string{"Bearer " + r.issue(good())}
			},
			words: "has been invalidated",
		},
		"authenticated without our audience": {
			headers: answering(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }),
			words:   `not for the audience "backendtls-xds"`,
		},
		"authenticated for another audience": {
			headers: answering(func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"backendtls-ledger"} }),
			words:   `not for the audience "backendtls-xds"`,
		},
		"authenticated with an error": {
			headers: answering(func(s *authenticationv1.TokenReviewStatus) { s.Error = "a webhook timed out" }),
			words:   "a webhook timed out", code: codes.Unavailable,
		},
		"two pods": {
			headers: answering(func(s *authenticationv1.TokenReviewStatus) {
				s.User.Extra["authentication.kubernetes.io/pod-name"] = []string{"envoy-1", "envoy-2"}
			}),
			words: "not bound to a pod",
		},
		"an API server that fails": {
			headers: func(r *rig) []string {
				r.answering(func(w http.ResponseWriter, _ *authenticationv1.TokenReview) bool {
					http.Error(w, "etcd is away", http.StatusInternalServerError)
					return true
				})
				return []string{"Bearer " + r.issue(good())}
			},
			words: "was not checked", code: codes.Unavailable,
		},
		"an API server that does not let us ask": {
			headers: func(r *rig) []string {
				r.answering(func(w http.ResponseWriter, _ *authenticationv1.TokenReview) bool {
					http.Error(w, "forbidden", http.StatusForbidden)
					return true
				})
				return []string{"Bearer " + r.issue(good())}
			},
			words: "was not checked", code: codes.Unavailable,
		},
		"an API server that repeats the token": {
			headers: func(r *rig) []string {
				r.answering(func(_ http.ResponseWriter, review *authenticationv1.TokenReview) bool {
					review.Status = authenticationv1.TokenReviewStatus{Error: "bad token " + review.Spec.Token + "!"}
					return false
				})
				return []string{"Bearer " + r.issue(good())}
			},
			words: "bad token [token]!",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, fleet)
			headers := test.headers(r)
			_, err := answer(r.ask(delta, allClusters(), headers...))
			want := test.code
			if want == codes.OK {
				want = codes.Unauthenticated
			}
			if status.Code(err) != want {
				t.Errorf("ended with %v, want %s", err, want)
			}
			if said := fmt.Sprint(r.lastError()); !strings.Contains(said, test.words) {
				t.Errorf("said %q, want %q", said, test.words)
			}
			if asked := r.count() > 0; asked == test.unasked {
				t.Errorf("the API server was asked: %v", asked)
			}
			for _, header := range headers {
				r.checkSecret(strings.TrimPrefix(header, "Bearer "))
			}
		})
	}
}

func TestNoMethodOfTheServerAnswersAStranger(t *testing.T) {
	r := newRig(t, fleet)
	valid := "Bearer " + r.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
	forged := valid + "A"
	for method, served := range map[string]bool{
		delta: true,
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources": true,
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources":  false,
		"/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters":                  false,
		"/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters":                  false,
		"/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets":                     false,
		"/grpc.health.v1.Health/Check":                                                     false,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":                        false,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":                   false,
	} {
		want := codes.Unimplemented
		if served {
			want = codes.Unauthenticated
		}
		for who, headers := range map[string][]string{"nobody": nil, "a forger": {forged}} {
			stream := r.ask(method, allClusters(), headers...)
			if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != want {
				t.Errorf("%s: %s answered %s %v, want %s", method, r.conn.Target(), who, err, want)
			}
		}
		if method == delta {
			continue
		}
		// Nor does what is not delta ADS answer an Envoy.
		stream := r.ask(method, &discoveryv3.DiscoveryRequest{TypeUrl: allClusters().GetTypeUrl()}, valid)
		if err := stream.RecvMsg(&emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s answered an Envoy %v, want Unimplemented", method, err)
		}
	}
}

func TestAMessageTooLargeEndsTheStreamOfAnEnvoyToo(t *testing.T) {
	r := newRig(t, fleet)
	large := allClusters()
	large.ResourceNamesSubscribe = []string{strings.Repeat("x", 9<<20)}
	valid := "Bearer " + r.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
	if _, err := answer(r.ask(delta, large, valid)); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("ended with %v, want ResourceExhausted", err)
	}
	if _, err := answer(r.ask(delta, large)); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stranger's ended with %v, want Unauthenticated", err)
	}
}

func TestNothingIsRememberedOfAReview(t *testing.T) {
	r := newRig(t, fleet)
	valid := "Bearer " + r.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
	served := func() error {
		stream := r.ask(delta, allClusters(), valid)
		_, err := answer(stream)
		return err
	}
	if err := served(); err != nil {
		t.Fatal(err)
	}
	r.answering(func(w http.ResponseWriter, _ *authenticationv1.TokenReview) bool {
		http.Error(w, "away", http.StatusInternalServerError)
		return true
	})
	if err := served(); status.Code(err) != codes.Unavailable {
		t.Errorf("while the API server fails a stream ended with %v, want Unavailable", err)
	}
	r.answering(nil)
	if err := served(); err != nil {
		t.Errorf("after the API server is back: %v", err)
	}
	r.gone("uid-1")
	if err := served(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("after the pod is gone a stream ended with %v, want Unauthenticated", err)
	}
	if r.count() != 4 {
		t.Errorf("%d reviews for 4 streams", r.count())
	}
}

func TestAStreamEndsWithItsToken(t *testing.T) {
	r := newRig(t, fleet)
	g := ofPod("shop", "backendtls-web", "envoy-1", "uid-1")
	g.expires = time.Now().Add(5 * time.Second)
	stream := r.ask(delta, allClusters(), "Bearer "+r.issue(g))
	if _, err := answer(stream); err != nil {
		t.Fatal(err)
	}
	_, err := answer(stream)
	// What the token says is in whole seconds, and its end is brought forward.
	if late := time.Since(g.expires); status.Code(err) != codes.Unauthenticated || late < -3*time.Second || late > time.Minute {
		t.Errorf("ended with %v, %s after the token", err, late)
	}
}

func TestALookupThatNamesAGatewayElsewhereIsNotBelieved(t *testing.T) {
	for name, gateway := range map[string]gwapi.Key{
		"of another namespace": gwapi.KeyOf(gwapi.KindGateway, "bank", "web"),
		"none":                 {},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(string, string, string, types.UID) (gwapi.Key, error) { return gateway, nil })
			valid := "Bearer " + r.issue(ofPod("shop", "backendtls-web", "envoy-1", "uid-1"))
			if _, err := answer(r.ask(delta, allClusters(), valid)); status.Code(err) != codes.Unauthenticated {
				t.Errorf("ended with %v, want Unauthenticated", err)
			}
		})
	}
}
