package envoy

import (
	"errors"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Translate writes a Gateway in Envoy's words. It cannot fail as a whole: what
// cannot be written is left out, answers 500 or refuses connections, and is
// named in a Fault. The faults are sorted. Resources share parts of messages
// and must not be modified.
func Translate(gateway model.Gateway) (Resources, []Fault) {
	t := &translation{
		gateway: gateway,
		names:   make(map[string]bool, len(gateway.Backends)),
		ports:   make(map[int32]bool, len(gateway.Listeners)),
		bundles: &bundles{},
		out: Resources{
			Clusters:  make(map[string]Cluster, len(gateway.Backends)),
			Listeners: make(map[string]*listenerv3.Listener, len(gateway.Listeners)),
			Routes:    make(map[string]*routev3.RouteConfiguration, len(gateway.Listeners)),
			Secrets:   map[string]*tlsv3.Secret{},
		},
	}
	for i := range gateway.Backends {
		t.cluster(&gateway.Backends[i])
	}
	t.readiness()
	// Clusters come first: a rule may only name those that were written.
	for _, listener := range gateway.Listeners {
		t.listener(listener)
	}
	slices.SortFunc(t.faults, compareFaults)
	return t.out, t.faults
}

// translation is one Translate while it runs.
type translation struct {
	gateway model.Gateway
	// names are those of the model's backends, written or not, each with whether it
	// gets copies.
	names map[string]bool
	// ports are those that have a listener.
	ports   map[int32]bool
	bundles *bundles
	options upstreamOptions
	// retry is written once: every virtual host has it.
	retry  *routev3.RetryPolicy
	out    Resources
	faults []Fault
}

// try runs the translation of one part and records its fault; it says whether
// the part was written.
func (t *translation) try(object gwapi.Key, resource string, part func() error) bool {
	err := guard(part)
	if err == nil {
		return true
	}
	fault := Fault{Object: object, Resource: resource, Message: err.Error()}
	if caught, ok := errors.AsType[panicked](err); ok {
		fault.Stack = caught.stack
	}
	t.faults = append(t.faults, fault)
	return false
}

// cluster writes the cluster of one backend.
func (t *translation) cluster(b *model.Backend) {
	// Computed once: it is a digest of everything in the trust.
	name := b.Name()
	t.names[name] = b.Mirror
	t.try(owner(b), name, func() error {
		written, err := t.newCluster(b, name)
		if err != nil {
			return err
		}
		if err := assertCluster(written, b, name, t.bundles); err != nil {
			return err
		}
		if err := validate(written); err != nil {
			return err
		}
		if earlier, twice := t.out.Clusters[name]; twice && !proto.Equal(earlier.Cluster, written) {
			// Which of the two trusts is meant cannot be known.
			delete(t.out.Clusters, name)
			return errors.New("two different backends have this name")
		}
		t.out.Clusters[name] = Cluster{Cluster: written, Held: held(b, name)}
		return nil
	})
}

// owner is the object that decides what a backend's cluster is.
func owner(b *model.Backend) gwapi.Key {
	if b.Trust != nil {
		return b.Trust.Policy
	}
	return b.Service
}

// held is what an Envoy that has the cluster may be using.
func held(b *model.Backend, name string) model.HeldCluster {
	h := model.HeldCluster{Name: name}
	if b.Trust == nil {
		return h
	}
	h.Policy = b.Trust.Policy
	h.Mode = modeOf(b.Trust)
	if h.Mode.Insecure() && !b.Trust.Until.IsZero() {
		h.Lapses = b.Trust.Until.Add(Grace)
	}
	return h
}

// validate runs Envoy's own rules for single fields (protoc-gen-validate) and
// makes sure that the message can be sent at all: a string that is not UTF-8
// shows only when it is encoded.
func validate(m message) error {
	if err := m.ValidateAll(); err != nil {
		return err
	}
	_, err := proto.Marshal(m)
	return err
}
