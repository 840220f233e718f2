package snapshot

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// Snapshot is what resolve.Build decides by.
type Snapshot struct {
	GatewayClasses  Objects[*gatewayv1.GatewayClass]
	Gateways        Objects[*gatewayv1.Gateway]
	ListenerSets    Objects[*gatewayv1.ListenerSet]
	HTTPRoutes      Objects[*gatewayv1.HTTPRoute]
	GRPCRoutes      Objects[*gatewayv1.GRPCRoute]
	TLSRoutes       Objects[*gatewayv1.TLSRoute]
	TCPRoutes       Objects[*gatewayv1.TCPRoute]
	TLSPolicies     Objects[*gatewayv1.BackendTLSPolicy]
	ReferenceGrants Objects[*gatewayv1.ReferenceGrant]
	Parameters      Objects[*v1alpha1.GatewayParameters]
	Services        Objects[*corev1.Service]
	Secrets         Objects[*corev1.Secret]
	ConfigMaps      Objects[*corev1.ConfigMap]
	Namespaces      Objects[*corev1.Namespace]

	// TrustBundles are cluster-wide CA bundles. They can be referred to only where
	// TrustBundlesServed says that there is such an API; TrustBundlesDenied is a
	// sentence that says why it is of no use where it is, "" if nothing is known.
	TrustBundles       Objects[*certificatesv1.ClusterTrustBundle]
	TrustBundlesServed bool
	TrustBundlesDenied string

	// EndpointSlices are here for readers that list once (the plugin).
	// resolve.Build does not read them: an endpoint change is no reason to build.
	EndpointSlices Objects[*discoveryv1.EndpointSlice]

	// Faults names objects whose content is contradictory or invalid where the
	// snapshot was read from (the same object in two files, a failed schema),
	// each with a sentence that says so. What such an object decides about
	// trust fails closed; anything else stays as it last was.
	Faults map[gwapi.Key]string

	// Unseen names what could not be read, for lack of rights, and why. An entry
	// without a reason says that its namespace was read, whatever is said of all
	// namespaces.
	Unseen map[Scope]string

	// Bundles are the Gateway API's CustomResourceDefinitions that are installed,
	// by name, each with its bundle version (annotation
	// gateway.networking.k8s.io/bundle-version), "" without one. It is nil where
	// nobody looked.
	Bundles map[string]string

	Site     Site
	Observed Observed
	Now      time.Time
}

// Scope is a kind in a namespace, "" for all namespaces.
type Scope struct {
	Kind      gwapi.Kind
	Namespace string
}

// Site says where the data plane runs.
type Site struct {
	// Standalone: Gateways have loopback addresses of their own, their ports
	// are exclusive, and loopback endpoints are allowed.
	Standalone bool
	// AllowAddresses admits spec.addresses outside 127.0.0.0/8 (standalone).
	AllowAddresses []netip.Prefix
}

// Observed is what was seen of the data plane. It decides status, never xDS.
type Observed struct {
	// Envoys are the Envoys expected per Gateway: every one that was started
	// and is not gone, with what it acknowledged. A Gateway without any is
	// absent.
	Envoys map[gwapi.Key][]model.Envoy
	// Addresses are the IP addresses and host names of each Gateway's Service;
	// a Gateway without any is absent. Not used in standalone, where Build
	// assigns them.
	Addresses map[gwapi.Key][]string
	// Fleet says per Gateway why its Envoys are not run as they should be, naming
	// the object in the way; a Gateway without a fault is absent.
	Fleet map[gwapi.Key]string
	// Untranslatable says per Gateway why its configuration could not be built.
	Untranslatable map[gwapi.Key]string
	// Probes are the verdicts of the live checks. What is absent has not been
	// checked by this replica, or not since it began to lead.
	Probes map[model.ProbeKey]model.Probed
}

// Hidden says whether objects of a kind in a namespace, "" for a kind without,
// could not be read, and why.
func (s *Snapshot) Hidden(kind gwapi.Kind, namespace string) (reason string, hidden bool) {
	reason, known := s.Unseen[Scope{Kind: kind, Namespace: namespace}]
	if !known {
		reason = s.Unseen[Scope{Kind: kind}]
	}
	return reason, reason != ""
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// EndpointSlicesOf lists the slices of a Service, by name.
func (s *Snapshot) EndpointSlicesOf(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	return slices.DeleteFunc(s.EndpointSlices.Sorted(), func(slice *discoveryv1.EndpointSlice) bool {
		return slice.Namespace != service.Namespace || slice.Labels[discoveryv1.LabelServiceName] != service.Name
	})
}
