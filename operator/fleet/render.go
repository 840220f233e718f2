package fleet

import (
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// What GatewayParameters may change, and the images of a release.
const (
	DefaultImage         = "docker.io/envoyproxy/envoy:distroless-v1.40.0"
	DefaultOperatorImage = "docker.io/backendtls/operator:v0.1.0"
	defaultReplicas      = 2
	defaultLogLevel      = "warning"
	defaultServiceType   = corev1.ServiceTypeLoadBalancer
)

// How an Envoy's pod ends. Its removal from the Service's endpoints and its
// drain begin at the same time, so it goes on as if nothing were for DrainDelay,
// in which every node and load balancer learns of it. Then each response tells
// its client to connect anew (HTTP/1.1 "connection: close", HTTP/2 GOAWAY),
// until no connection is left or DrainPatience is over. DrainDeadline is the
// pod's terminationGracePeriodSeconds: some more than both.
const (
	DrainDelay    = 5 * time.Second
	DrainPatience = 45 * time.Second
	DrainDeadline = 60 * time.Second
)

// The control plane in a cluster.
const (
	// XDSPort is the port of the xDS Service and of the pods behind it.
	XDSPort = 18000
	// XDSService is the Service's name in the operator's namespace.
	XDSService = "backendtls-xds"
	// XDSAudience is what the tokens of Envoys are for.
	XDSAudience = "backendtls-xds"
	// tokenLifetime is after what time kubelet has replaced a token.
	tokenLifetime = time.Hour
)

// XDSServerName is the DNS name in the control plane's certificate, by which
// Envoys reach it too. It is complete up to the cluster's domain, which nobody
// here knows: the search list of the pods' resolver adds it.
func XDSServerName(operatorNamespace string) string {
	return XDSService + "." + operatorNamespace + ".svc"
}

// Settings are what Render needs to know besides the Gateway.
type Settings struct {
	// OperatorNamespace is where the xDS Service is.
	OperatorNamespace string
	// OperatorImage has the program that drains an Envoy; "" for
	// DefaultOperatorImage.
	OperatorImage string
	// Authority is the CA certificates, in PEM, that Envoys trust to sign for the
	// control plane.
	Authority []byte
}

// fleet is one Render while it runs.
type rendering struct {
	gateway  *model.Gateway
	settings *Settings
	name     string
}

// Render says what the objects of a Gateway's fleet are, in the order in which
// they are applied: what pods need comes before the Deployment. The error is of
// the Gateway's GatewayParameters and names the field.
func Render(gateway model.Gateway, settings Settings) ([]client.Object, error) {
	if settings.OperatorImage == "" {
		settings.OperatorImage = DefaultOperatorImage
	}
	r := &rendering{gateway: &gateway, settings: &settings, name: Name(gateway.Key)}
	config, err := r.configMap()
	if err != nil {
		return nil, err
	}
	deployment, err := r.deployment(config.Data[bootstrapFile])
	if err != nil {
		return nil, err
	}
	return []client.Object{
		r.serviceAccount(), config, r.networkPolicy(), r.disruptionBudget(), r.service(), deployment,
	}, nil
}

// meta is the metadata of every object.
func (r *rendering) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Namespace:       r.gateway.Key.Namespace,
		Name:            r.name,
		Labels:          labels(r.gateway),
		Annotations:     maps.Clone(r.gateway.Fleet.Annotations),
		OwnerReferences: []metav1.OwnerReference{owner(r.gateway)},
	}
}

// owner is the Gateway as the one controller of an object. Its deletion is not
// blocked by what it owns: that would need a right on Gateways.
func owner(gateway *model.Gateway) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: gatewayv1.GroupVersion.String(),
		Kind:       string(gwapi.KindGateway),
		Name:       gateway.Key.Name,
		UID:        types.UID(gateway.Fleet.Owner),
		Controller: new(true),
	}
}

func (r *rendering) serviceAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		APIVersion: "v1", Kind: "ServiceAccount",
		ObjectMeta: r.meta(),
		// The one token that an Envoy needs is projected, for the control plane alone.
		AutomountServiceAccountToken: new(false),
	}
}

// The files of the ConfigMap.
const (
	bootstrapFile  = "bootstrap.json"
	trustFile      = "ca.json"
	credentialFile = "credential.json" //nolint:gosec // a name, no credential
)

func (r *rendering) configMap() (*corev1.ConfigMap, error) {
	namespace := r.settings.OperatorNamespace
	bootstrap, err := envoy.Bootstrap(envoy.BootstrapConfig{
		// The name of the pod is an argument of Envoy's.
		NodeCluster: r.gateway.Key.NamespacedName().String(),
		AdminSocket: adminSocket,
		Service: &envoy.XDSService{
			Host: XDSServerName(namespace), Port: XDSPort, ServerName: XDSServerName(namespace),
			TrustFile: configDir + "/" + trustFile, CredentialFile: configDir + "/" + credentialFile,
		},
	})
	if err != nil {
		return nil, err
	}
	trust, err := envoy.XDSTrust(r.settings.Authority)
	if err != nil {
		return nil, err
	}
	credential, err := envoy.XDSCredential(tokenDir + "/" + tokenFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", credentialFile, err)
	}
	return &corev1.ConfigMap{
		APIVersion: "v1", Kind: "ConfigMap",
		ObjectMeta: r.meta(),
		Data: map[string]string{
			bootstrapFile: string(bootstrap), trustFile: string(trust), credentialFile: string(credential),
		},
	}, nil
}
