package envoytest

import (
	"encoding/json"
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// document is a golden file: the resources by name, and what goes with the
// clusters that Envoy is not told.
type document struct {
	Faults    []string                   `json:"faults,omitempty"`
	Held      map[string]heldCluster     `json:"held,omitempty"`
	Clusters  map[string]json.RawMessage `json:"clusters,omitempty"`
	Listeners map[string]json.RawMessage `json:"listeners,omitempty"`
	Routes    map[string]json.RawMessage `json:"routes,omitempty"`
	Secrets   map[string]json.RawMessage `json:"secrets,omitempty"`
}

type heldCluster struct {
	Policy string     `json:"policy,omitempty"`
	Mode   model.Mode `json:"mode,omitempty"`
	Lapses *time.Time `json:"lapses,omitempty"`
}

// YAML is the resources and faults as a document whose bytes are the same for
// the same input.
func YAML(resources envoy.Resources, faults []envoy.Fault) ([]byte, error) {
	doc := document{Held: map[string]heldCluster{}}
	clusters := map[string]*clusterv3.Cluster{}
	for name, cluster := range resources.Clusters {
		clusters[name] = cluster.Cluster
		doc.Held[name] = held(cluster.Held)
	}
	for _, fault := range faults {
		doc.Faults = append(doc.Faults, fault.String())
	}
	var err error
	if doc.Clusters, err = encode(clusters); err != nil {
		return nil, err
	}
	if doc.Listeners, err = encode(resources.Listeners); err != nil {
		return nil, err
	}
	if doc.Routes, err = encode(resources.Routes); err != nil {
		return nil, err
	}
	if doc.Secrets, err = encode(resources.Secrets); err != nil {
		return nil, err
	}
	// Keys are sorted and white space is YAML's own: nothing of protojson's
	// shows.
	return yaml.Marshal(doc)
}

// Parse reads what YAML wrote, without the faults and what is held.
func Parse(text []byte) (envoy.Resources, error) {
	var doc document
	if err := yaml.UnmarshalStrict(text, &doc); err != nil {
		return envoy.Resources{}, err
	}
	clusters, err := decode(doc.Clusters, func() *clusterv3.Cluster { return &clusterv3.Cluster{} })
	if err != nil {
		return envoy.Resources{}, err
	}
	resources := envoy.Resources{Clusters: map[string]envoy.Cluster{}}
	for name, cluster := range clusters {
		resources.Clusters[name] = envoy.Cluster{Cluster: cluster, Held: model.HeldCluster{Name: name}}
	}
	resources.Listeners, err = decode(doc.Listeners, func() *listenerv3.Listener { return &listenerv3.Listener{} })
	if err != nil {
		return envoy.Resources{}, err
	}
	resources.Routes, err = decode(doc.Routes,
		func() *routev3.RouteConfiguration { return &routev3.RouteConfiguration{} })
	if err != nil {
		return envoy.Resources{}, err
	}
	resources.Secrets, err = decode(doc.Secrets, func() *tlsv3.Secret { return &tlsv3.Secret{} })
	return resources, err
}

func held(h model.HeldCluster) heldCluster {
	shown := heldCluster{Mode: h.Mode}
	if h.Policy != (gwapi.Key{}) {
		shown.Policy = h.Policy.String()
	}
	if !h.Lapses.IsZero() {
		shown.Lapses = new(h.Lapses)
	}
	return shown
}

func encode[M proto.Message](messages map[string]M) (map[string]json.RawMessage, error) {
	encoded := make(map[string]json.RawMessage, len(messages))
	for name, message := range messages {
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		encoded[name] = text
	}
	return encoded, nil
}

func decode[M proto.Message](encoded map[string]json.RawMessage, empty func() M) (map[string]M, error) {
	messages := make(map[string]M, len(encoded))
	for name, text := range encoded {
		message := empty()
		if err := protojson.Unmarshal(text, message); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		messages[name] = message
	}
	return messages, nil
}
