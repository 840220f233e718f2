package cluster

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	clusterservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	endpointservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	listenerservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	secretservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// deltaADS is the one method that Envoys use.
const deltaADS = discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResources_FullMethodName

// methods are those of every service that an xDS server may have, and of those
// that gRPC servers often have, each with whether this one registers it.
func methods() map[string]bool {
	all := map[string]bool{
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/FetchAggregatedResources": false,
		"/grpc.health.v1.Health/Check":                                            false,
		"/grpc.health.v1.Health/Watch":                                            false,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":               false,
		"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo":          false,
		"/grpc.channelz.v1.Channelz/GetServers":                                   false,
		"/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus": false,
		"/backendtls.ledger.v1.Ledger/Watch":                                      false,
	}
	for i, service := range []grpc.ServiceDesc{
		discoveryv3.AggregatedDiscoveryService_ServiceDesc, clusterservicev3.ClusterDiscoveryService_ServiceDesc,
		endpointservicev3.EndpointDiscoveryService_ServiceDesc, listenerservicev3.ListenerDiscoveryService_ServiceDesc,
		routeservicev3.RouteDiscoveryService_ServiceDesc, secretservicev3.SecretDiscoveryService_ServiceDesc,
	} {
		for _, stream := range service.Streams {
			all["/"+service.ServiceName+"/"+stream.StreamName] = i == 0
		}
		for _, unary := range service.Methods {
			all["/"+service.ServiceName+"/"+unary.MethodName] = i == 0
		}
	}
	return all
}

// TestOnlyEnvoysAreServedAndOnlyTheirOwnGateway puts tokens that the API server
// really issued to the servers of the operator.
func TestOnlyEnvoysAreServedAndOnlyTheirOwnGateway(t *testing.T) {
	one, _, _ := newTeam(t, 1)
	other, _, _ := newTeam(t, 1)
	for _, test := range []struct {
		name string
		run  func(one, other *space)
	}{
		{"an Envoy gets its own Gateway, whatever it claims", theirOwn},
		{"what is sent to the xDS server is bounded", bounded},
		{"the ledger is told to other replicas", ledgerToldToReplicas},
		{"whoever is no Envoy of a fleet is served nothing", strangersRefused},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(&space{t, one.name}, &space{t, other.name}) })
	}
}

// strangersRefused goes through every method as everybody who is no Envoy.
func strangersRefused(team, _ *space) {
	t := team.T
	mine := team.envoys()[0]
	imposters(team, mine.Labels)
	alone, imposter := team.pod("alone"), team.podWith(map[string]string{"imposter": "yes"})
	operators := (&life{space: team}).ready(time.Minute, system, operatorPods, 2)
	var backend corev1.PodList
	if err := here.client.List(t.Context(), &backend, client.InNamespace(team.name), client.MatchingLabels{"app": "api"}); err != nil {
		t.Fatal(err)
	}
	const account = "backendtls-web"
	valid := token(t, team.name, account, xdsAudience, &mine)
	strangers := map[string]string{
		"nobody":                        "",
		"no token but a word":           "Envoy",
		"a token with a changed letter": flip(valid),
		"an audience of the API server": token(t, team.name, account, "https://kubernetes.default.svc.cluster.local", &mine),
		"the audience of the ledger":    token(t, team.name, account, ledgerAudience, &mine),
		"a token bound to no pod":       token(t, team.name, account, xdsAudience, nil),
		"a pod without a ReplicaSet":    token(t, team.name, account, xdsAudience, alone),
		"a pod of another ReplicaSet":   token(t, team.name, account, xdsAudience, imposter),
		"a backend":                     token(t, team.name, "default", xdsAudience, &backend.Items[0]),
		"the operator itself":           token(t, system, "backendtls-operator", xdsAudience, &operators[0]),
		"the operator, for the ledger":  token(t, system, "backendtls-operator", ledgerAudience, &operators[0]),
	}
	connection := dial(t, xdsAddress(t))
	if _, err := ask(t, connection, deltaADS, valid, allClusters(mine.Name, team.name+"/web")); err != nil {
		t.Fatalf("an Envoy of the fleet is refused: %v", err)
	}
	for who, token := range strangers {
		refusedEverywhere(t, connection, who, token)
	}
	for method := range methods() {
		if method == deltaADS {
			continue
		}
		if _, err := ask(t, connection, method, valid, &discoveryv3.DiscoveryRequest{TypeUrl: typeCluster}); status.Code(err) != codes.Unimplemented {
			t.Errorf("%s answers an Envoy %v, want Unimplemented", method, err)
		}
	}
	// What the token says is true until the pod goes.
	if _, err := ask(t, connection, deltaADS, valid, allClusters(mine.Name, "")); err != nil {
		t.Errorf("the token is no longer taken, for no reason: %v", err)
	}
	team.gone(&mine)
	// A replica hears of the end as of everything else: by a watch.
	eventually(t, 20*time.Second, "the operator knows that the pod is gone", func() string {
		_, err := ask(t, connection, deltaADS, valid, allClusters(mine.Name, ""))
		if status.Code(err) != codes.Unauthenticated {
			return fmt.Sprintf("its token is answered %v", err)
		}
		return ""
	})
	refusedEverywhere(t, connection, "a pod that was deleted", valid)
}

// refusedEverywhere says that no method serves whoever has a token.
func refusedEverywhere(t *testing.T, connection *grpc.ClientConn, who, token string) {
	t.Helper()
	for method, registered := range methods() {
		want := codes.Unimplemented
		if registered {
			want = codes.Unauthenticated
		}
		answer, err := ask(t, connection, method, token, allClusters("envoy", "edge/web"))
		if status.Code(err) != want {
			t.Errorf("%s: %s answers %v (%v), want %s", who, method, err, answer, want)
		}
	}
}

// flip changes a letter in the middle of the token's signature.
func flip(token string) string {
	letters := []byte(token)
	at := strings.LastIndexByte(token, '.') + 20
	if letters[at] == 'A' {
		letters[at] = 'B'
	} else {
		letters[at] = 'A'
	}
	return string(letters)
}

// imposters makes pods with the ServiceAccount of the fleet.
func imposters(team *space, labels map[string]string) {
	team.Helper()
	copied := map[string]string{}
	for name, value := range labels {
		// With this one the fleet's own ReplicaSet would take the pods.
		if name != "pod-template-hash" {
			copied[name] = value
		}
	}
	team.apply("imposters.yaml", map[string]any{"Labels": copied})
}

func (s *space) pod(name string) *corev1.Pod {
	s.Helper()
	pod := &corev1.Pod{}
	if err := here.client.Get(s.Context(), s.key(name), pod); err != nil {
		s.Fatal(err)
	}
	return pod
}

// podWith waits for a pod with labels.
func (s *space) podWith(labels map[string]string) *corev1.Pod {
	s.Helper()
	var list corev1.PodList
	eventually(s.T, time.Minute, "a pod is there", func() string {
		if err := here.client.List(s.Context(), &list, client.InNamespace(s.name), client.MatchingLabels(labels)); err != nil {
			return err.Error()
		}
		if len(list.Items) == 0 {
			return "none"
		}
		return ""
	})
	return &list.Items[0]
}

// theirOwn has each of two teams say that it is the other.
func theirOwn(one, other *space) {
	t := one.T
	connection := dial(t, xdsAddress(t))
	for _, c := range []struct{ own, claimed *space }{{one, other}, {other, one}} {
		mine, theirs := c.own.envoys()[0], c.claimed.envoys()[0]
		request := allClusters(theirs.Name, c.claimed.name+"/web")
		answer, err := ask(t, connection, deltaADS, token(t, c.own.name, "backendtls-web", xdsAudience, &mine), request)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, resource := range answer.GetResources() {
			names = append(names, resource.GetName())
		}
		if !slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, c.own.name) }) {
			t.Errorf("an Envoy of %s gets clusters %q, none of its own", c.own.name, names)
		}
		if strings.Contains(strings.Join(names, " ")+answer.String(), c.claimed.name) {
			t.Errorf("an Envoy of %s gets what is of %s: %v", c.own.name, c.claimed.name, answer)
		}
		// Nobody is disturbed by the claim: the other's Envoys still hold all.
		c.claimed.expect(time.Minute, "Programmed", metav1.ConditionTrue, "Programmed")
	}
}

// bounded is what even an Envoy may not do, and what the transport must be.
func bounded(team, _ *space) {
	t := team.T
	mine := team.envoys()[0]
	valid := token(t, team.name, "backendtls-web", xdsAudience, &mine)
	address := xdsAddress(t)
	connection := dial(t, address)
	large := allClusters(mine.Name, "")
	large.ResourceNamesSubscribe = []string{strings.Repeat("x", 9<<20)}
	if _, err := ask(t, connection, deltaADS, valid, large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message of 9 MiB is answered %v, want ResourceExhausted", err)
	}
	if _, err := ask(t, connection, deltaADS, "", large); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a message of 9 MiB of nobody is answered %v, want Unauthenticated", err)
	}
	unknown := allClusters(mine.Name, "")
	unknown.TypeUrl = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
	if _, err := ask(t, connection, deltaADS, valid, unknown); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a type that is not served is answered %v, want InvalidArgument", err)
	}
	old := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, RootCAs: xdsAuthority(t), ServerName: xdsName,
		NextProtos: []string{"h2"},
	}}
	if refused, err := old.DialContext(t.Context(), "tcp", address); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2 is answered %v, want a refusal of the version", err)
		if err == nil {
			_ = refused.Close()
		}
	}
	plain, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	if _, err := ask(t, plain, deltaADS, valid, allClusters(mine.Name, "")); status.Code(err) != codes.Unavailable {
		t.Errorf("a client without TLS is answered %v, want no connection", err)
	}
	if _, err := ask(t, connection, deltaADS, valid, allClusters(mine.Name, "")); err != nil {
		t.Errorf("after all that an Envoy is refused: %v", err)
	}
}

// ledgerToldToReplicas asks a replica what it knows.
func ledgerToldToReplicas(team, _ *space) {
	t := team.T
	envoy := team.envoys()[0]
	operators := (&life{space: team}).ready(time.Minute, system, operatorPods, 2)
	const watch = "/backendtls.ledger.v1.Ledger/Watch"
	connection := dial(t, operators[0].Status.PodIP+":18001")
	replica := token(t, system, "backendtls-operator", ledgerAudience, &operators[1])
	if _, err := ask(t, connection, watch, replica, &emptypb.Empty{}); err != nil {
		t.Fatalf("another replica is refused: %v", err)
	}
	for who, token := range map[string]string{
		"nobody":                          "",
		"an Envoy":                        token(t, team.name, "backendtls-web", xdsAudience, &envoy),
		"an Envoy, for the ledger":        token(t, team.name, "backendtls-web", ledgerAudience, &envoy),
		"another account beside Envoys":   token(t, team.name, "default", ledgerAudience, nil),
		"a replica, for xDS":              token(t, system, "backendtls-operator", xdsAudience, &operators[1]),
		"the operator's account, no pod":  token(t, system, "backendtls-operator", ledgerAudience, nil),
		"another account of the operator": token(t, system, "default", ledgerAudience, nil),
	} {
		if answer, err := ask(t, connection, watch, token, &emptypb.Empty{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s: the ledger is told (%v, %v), want Unauthenticated", who, answer, err)
		}
		for method := range methods() {
			if method == watch {
				continue
			}
			if _, err := ask(t, connection, method, token, &emptypb.Empty{}); status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: %s on the ledger's port answers %v, want Unimplemented", who, method, err)
			}
		}
	}
}
