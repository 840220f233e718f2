package xds

import (
	"fmt"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

var (
	web    = gwapi.KeyOf(gwapi.KindGateway, "edge", "web")
	other  = gwapi.KeyOf(gwapi.KindGateway, "edge", "other")
	policy = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", "api")
	rival  = gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", "pay")
	route  = gwapi.KeyOf(gwapi.KindHTTPRoute, "shop", "api")
)

const (
	oldAPI   = "shop/api/443/old"
	newAPI   = "shop/api/443/new"
	thePay   = "shop/pay/443/pay"
	thePort  = "http/8080"
	theWords = "no"
)

// world builds a publication: one listener, one route configuration that names
// every cluster.
type world struct {
	publication Publication
	targets     []string
}

func newWorld(shares map[gwapi.Key]string) *world {
	return &world{publication: Publication{
		Resources: envoy.Resources{
			Clusters:  map[string]envoy.Cluster{},
			Listeners: map[string]*listenerv3.Listener{},
			Routes:    map[string]*routev3.RouteConfiguration{},
			Secrets:   map[string]*tlsv3.Secret{},
		},
		Shares: shares,
	}}
}

// serving is a world with these clusters, all strict and of policy, except
// thePay of rival.
func serving(shares map[gwapi.Key]string, clusters ...string) Publication {
	w := newWorld(shares)
	for _, name := range clusters {
		held := model.HeldCluster{Policy: policy, Mode: model.Standard}
		if name == thePay {
			held.Policy = rival
		}
		w.cluster(name, held)
	}
	return w.done()
}

func shares(version string) map[gwapi.Key]string {
	return map[gwapi.Key]string{policy: version, rival: "same", route: version, web: version}
}

func (w *world) cluster(name string, held model.HeldCluster) {
	w.publication.Resources.Clusters[name] = envoy.Cluster{
		Cluster: &clusterv3.Cluster{Name: name, AltStatName: servicePort(name)}, Held: held,
	}
	w.targets = append(w.targets, name)
}

func (w *world) done() Publication {
	w.publication.Resources.Listeners[thePort] = listener(thePort, "")
	w.publication.Resources.Routes[thePort] = routing(thePort, w.targets...)
	return w.publication
}

func listener(name, stat string) *listenerv3.Listener {
	config, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix: "http",
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			RouteConfigName: name,
			ConfigSource: &corev3.ConfigSource{
				ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			},
		}},
	})
	if err != nil {
		return nil
	}
	return &listenerv3.Listener{
		Name:       name,
		StatPrefix: stat,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: config},
		}}}},
	}
}

func routing(name string, clusters ...string) *routev3.RouteConfiguration {
	host := &routev3.VirtualHost{Name: "all", Domains: []string{"*"}}
	for _, cluster := range clusters {
		host.Routes = append(host.Routes, &routev3.Route{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/" + cluster}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
			}},
		})
	}
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{host}}
}

// assignment has one endpoint, at that port.
func assignment(cluster string, port uint32) *endpointv3.ClusterLoadAssignment {
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "10.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
	return &endpointv3.ClusterLoadAssignment{
		ClusterName: cluster,
		Endpoints: []*endpointv3.LocalityLbEndpoints{{LbEndpoints: []*endpointv3.LbEndpoint{{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}},
		}}}},
	}
}

// skipping is what an Envoy holds that has a cluster which skips verification.
func skipping(lapses time.Time) model.HeldCluster {
	return model.HeldCluster{Policy: policy, Mode: model.InsecureSkipVerification, Lapses: lapses}
}

// ledger is the entry of an Envoy; it fails the test if there is none.
func ledger(t *testing.T, s *Server, gateway gwapi.Key, name string) model.Envoy {
	t.Helper()
	for _, e := range s.Envoys()[gateway] {
		if e.Name == name {
			return e
		}
	}
	t.Fatalf("%s is not in the ledger of %s", name, gateway)
	return model.Envoy{}
}

func heldNames(e model.Envoy) string {
	names := []string{}
	for _, h := range e.Held {
		names = append(names, h.Name)
	}
	return fmt.Sprint(names)
}

func secret(name, chain string) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: chain}},
	}}}
}
