package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// What the operator's tokens and servers are for.
const (
	xdsAudience    = "backendtls-xds"
	ledgerAudience = "backendtls-ledger"
	xdsName        = "backendtls-xds." + system + ".svc"
)

// typeCluster is what the tests ask the xDS server for.
const typeCluster = "type.googleapis.com/envoy.config.cluster.v3.Cluster"

// xdsAuthority is the CA that signs what the operator's servers show.
func xdsAuthority(t *testing.T) *x509.CertPool {
	t.Helper()
	var secret corev1.Secret
	if err := here.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: "backendtls-xds-ca"}, &secret); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(secret.Data["ca.crt"]) {
		t.Fatalf("Secret backendtls-xds-ca has no CA in ca.crt")
	}
	return pool
}

// xdsAddress is the Service that Envoys connect to, as the host reaches it.
func xdsAddress(t *testing.T) string {
	t.Helper()
	var service corev1.Service
	if err := here.client.Get(t.Context(), types.NamespacedName{Namespace: system, Name: "backendtls-xds"}, &service); err != nil {
		t.Fatal(err)
	}
	return service.Spec.ClusterIP + ":18000"
}

// dial connects to a server of the operator, which it verifies.
func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: xdsAuthority(t), ServerName: xdsName,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// token asks the TokenRequest API for a token of a ServiceAccount, bound to pod
// unless that is nil.
func token(t *testing.T, namespace, account, audience string, pod *corev1.Pod) string {
	t.Helper()
	clients, err := kubernetes.NewForConfig(here.rest)
	if err != nil {
		t.Fatal(err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: []string{audience}, ExpirationSeconds: new(int64(600)),
	}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		}
	}
	issued, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Status.Token
}

// ask is askOnce, again where the Envoy whose token this is came back meanwhile
// and took its place: one Envoy has one stream, and the newest is its own.
func ask(t *testing.T, connection *grpc.ClientConn, method, token string, request any) (*discoveryv3.DeltaDiscoveryResponse, error) {
	t.Helper()
	const enough = 20
	for range enough {
		answer, err := askOnce(t, connection, method, token, request)
		if status.Code(err) != codes.Aborted {
			return answer, err
		}
	}
	return nil, fmt.Errorf("replaced %d times by the Envoy whose token it is", enough)
}

// askOnce opens a stream of a method with a token ("" for none), sends a request
// and returns the first answer. After an empty request nothing else is sent.
func askOnce(t *testing.T, connection *grpc.ClientConn, method, token string, request any) (*discoveryv3.DeltaDiscoveryResponse, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := connection.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		return nil, err
	}
	// The server may have ended the stream already; receiving tells why.
	_ = stream.SendMsg(request)
	if _, only := request.(*emptypb.Empty); only {
		_ = stream.CloseSend()
	}
	answer := &discoveryv3.DeltaDiscoveryResponse{}
	return answer, stream.RecvMsg(answer)
}

// allClusters asks for every cluster, as an Envoy of that name and Gateway.
func allClusters(id, gateway string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: typeCluster, Node: &corev3.Node{Id: id, Cluster: gateway},
		ResourceNamesSubscribe: []string{"*"},
	}
}

// envoys are the pods of a Gateway's fleet.
func (s *space) envoys() []corev1.Pod {
	s.Helper()
	all, err := pods(s.Context(), s.name, "backendtls-envoy")
	if err != nil {
		s.Fatal(err)
	}
	if len(all) == 0 {
		s.Fatal("the Gateway has no Envoys")
	}
	return all
}

// gone deletes a pod at once and waits until the API server has forgotten it.
func (s *space) gone(pod *corev1.Pod) {
	s.Helper()
	if err := here.client.Delete(s.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		s.Fatal(err)
	}
	eventually(s.T, time.Minute, "pod "+pod.Name+" is gone", func() string {
		var left corev1.Pod
		if err := here.client.Get(s.Context(), client.ObjectKeyFromObject(pod), &left); client.IgnoreNotFound(err) != nil {
			return err.Error()
		} else if err == nil && left.UID == pod.UID {
			return "it is there"
		}
		return ""
	})
}
