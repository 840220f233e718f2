package ledger

import (
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// call asks a replica for its ledger, by any method and with any token.
func (w *world) call(r *replica, method, token string, request proto.Message) error {
	w.t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+r.pod.address(w.port),
		grpc.WithTransportCredentials(credentials.NewTLS(w.ca.ClientConfig())), grpc.WithNoProxy())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	ctx := w.t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		w.t.Fatal(err)
	}
	// The server may have ended the stream already.
	_ = stream.SendMsg(request)
	_ = stream.CloseSend()
	return stream.RecvMsg(&wrapperspb.BytesValue{})
}

func TestTheLedgerIsToldToOtherPodsOfTheOperatorOnly(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, nil)
	a.write(web, connected("envoy-1", "1"))
	w.put(Pod{Name: "operator-2", UID: "uid-2", IP: ""}, "good")
	if err := w.call(a, watchMethod, "good", &emptypb.Empty{}); err != nil {
		t.Fatalf("another pod of the operator is refused: %v", err)
	}
	for name, change := range map[string]func(*Caller){
		"another namespace":      func(c *Caller) { c.Namespace = "edge" },
		"another ServiceAccount": func(c *Caller) { c.ServiceAccount = "default" },
		"a pod not listed":       func(c *Caller) { c.Pod = "operator-9" },
		"another UID":            func(c *Caller) { c.UID = "uid-9" },
		"no UID":                 func(c *Caller) { c.UID = "" },
		"this pod itself":        func(c *Caller) { c.Pod, c.UID = a.pod.Name, a.pod.UID },
		"an expired proof":       func(c *Caller) { c.Expires = time.Now().Add(-time.Second) },
		"a proof without an end": func(c *Caller) { c.Expires = time.Time{} },
	} {
		t.Run(name, func(t *testing.T) {
			w.put(Pod{Name: "operator-2", UID: "uid-2", IP: ""}, name)
			w.grant(name, change)
			if err := w.call(a, watchMethod, name, &emptypb.Empty{}); status.Code(err) != codes.Unauthenticated {
				t.Errorf("ended with %v, want Unauthenticated", err)
			}
		})
	}
}

func TestNoMethodOfTheLedgerAnswersAStranger(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, nil)
	w.put(Pod{Name: "operator-2", UID: "uid-2"}, "good")
	for method, want := range map[string]codes.Code{
		watchMethod:                    codes.Unauthenticated,
		"/" + serviceName + "/Get":     codes.Unimplemented,
		"/grpc.health.v1.Health/Check": codes.Unimplemented,
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo":                       codes.Unimplemented,
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources": codes.Unimplemented,
	} {
		for _, token := range []string{"", "forged"} {
			if err := w.call(a, method, token, &emptypb.Empty{}); status.Code(err) != want {
				t.Errorf("%s answered %q with %v, want %s", method, token, err, want)
			}
		}
	}
	if _, err := refuseUnary(t.Context(), nil, nil, nil); status.Code(err) != codes.Unimplemented {
		t.Errorf("a unary method would answer %v", err)
	}
	large := wrapperspb.Bytes(make([]byte, maxRequest+1))
	if err := w.call(a, watchMethod, "good", large); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large request ended with %v, want ResourceExhausted", err)
	}
	if err := w.call(a, watchMethod, panics, &emptypb.Empty{}); status.Code(err) != codes.Internal {
		t.Errorf("a panic ended with %v, want Internal", err)
	}
	if err := w.call(a, watchMethod, "good", &emptypb.Empty{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
