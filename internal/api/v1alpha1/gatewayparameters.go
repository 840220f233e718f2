package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// GatewayParameters bounds what BackendTLSPolicies may do on the Gateways that
// refer to it, by GatewayClass.spec.parametersRef or by
// Gateway.spec.infrastructure.parametersRef, and shapes their Envoys. The
// right to write it is the right to weaken verification.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=gwparams
// +kubebuilder:printcolumn:name="Modes",type=string,JSONPath=`.spec.backendTLS.allowedModes`
// +kubebuilder:printcolumn:name="Max duration",type=string,JSONPath=`.spec.backendTLS.maxDuration`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec GatewayParametersSpec `json:"spec,omitempty"`
}

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GatewayParameters `json:"items"`
}

// GatewayParametersSpec is the desired state.
type GatewayParametersSpec struct {
	// backendTLS bounds the modes of BackendTLSPolicy. Where class and Gateway
	// both have one, the stricter of each field wins. Absent everywhere: no
	// insecure mode is allowed.
	//
	// +optional
	BackendTLS *BackendTLS `json:"backendTLS,omitempty"`
	// probe configures live certificate checks by the operator.
	//
	// +optional
	Probe *Probe `json:"probe,omitempty"`
	// envoy shapes the Envoy fleet.
	//
	// +optional
	Envoy *Envoy `json:"envoy,omitempty"`
}

// Mode is an insecure verification mode.
//
// +kubebuilder:validation:Enum=InsecureAllowExpired;InsecureSkipOnlySANVerification;InsecureSkipVerification
type Mode string

// BackendTLS bounds the modes of BackendTLSPolicy.
type BackendTLS struct {
	// allowedModes are the insecure modes permitted; empty or absent: none.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=3
	AllowedModes []Mode `json:"allowedModes,omitempty"`
	// maxDuration is the longest mode-until minus mode-since, such as 24h or
	// 90m; absent: 24h. "Unlimited" makes both optional.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^(Unlimited|([0-9]+(\.[0-9]+)?(h|m|s))+)$`
	// +kubebuilder:validation:MaxLength=32
	MaxDuration *string `json:"maxDuration,omitempty"`
	// requireReason asks for mode-reason; absent: true.
	//
	// +optional
	RequireReason *bool `json:"requireReason,omitempty"`
	// namespaces selects whose policies may use insecure modes; absent: all.
	//
	// +optional
	Namespaces *metav1.LabelSelector `json:"namespaces,omitempty"`
	// minTLSVersion is the floor that options cannot go below.
	//
	// +optional
	// +kubebuilder:validation:Enum="1.2";"1.3"
	MinTLSVersion *string `json:"minTLSVersion,omitempty"`
}

// Probe configures live certificate checks by the operator.
type Probe struct {
	// enabled turns the checks on; where class and Gateway both say, both must.
	//
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// interval is the time between two checks of one endpoint, such as 5m, from 10s
	// to 24h; the larger of class and Gateway, 5m where neither says.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('10s')",message="must be at least 10s"
	// +kubebuilder:validation:XValidation:rule="duration(self) <= duration('24h')",message="must be at most 24h"
	Interval *metav1.Duration `json:"interval,omitempty"`
}

// Envoy shapes the Envoy fleet. image, podTemplate and service.annotations are
// read from the class only.
type Envoy struct {
	// +optional
	// +kubebuilder:validation:Minimum=1
	Replicas *int32 `json:"replicas,omitempty"`
	// +optional
	// +kubebuilder:validation:MinLength=1
	Image *string `json:"image,omitempty"`
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
	// +optional
	// +kubebuilder:validation:Enum=trace;debug;info;warning;error;critical;off
	LogLevel *string `json:"logLevel,omitempty"`
	// +optional
	Service *EnvoyService `json:"service,omitempty"`
	// maxStreamDuration is the longest that one request over a connection verified
	// by a BackendTLSPolicy may last, websockets and gRPC streams included, and one
	// session of a TLS listener, such as 24h or 90m; absent: 24h. Envoy verifies in
	// the handshake alone, so this is also how long what is under way may outlast a
	// trust that was taken away. The smaller of class and Gateway; "Unlimited" sets
	// no bound. Under an insecure mode it is at most 1h.
	//
	// +optional
	// +kubebuilder:validation:Pattern=`^(Unlimited|([0-9]+(\.[0-9]+)?(h|m|s))+)$`
	// +kubebuilder:validation:MaxLength=32
	MaxStreamDuration *string `json:"maxStreamDuration,omitempty"`
	// podTemplate is merged strategically over the pod template of the fleet.
	//
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	PodTemplate *runtime.RawExtension `json:"podTemplate,omitempty"`
}

// EnvoyService shapes the Service in front of the fleet.
type EnvoyService struct {
	// +optional
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	Type *corev1.ServiceType `json:"type,omitempty"`
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}
