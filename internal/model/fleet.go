package model

// DefaultReadinessPort is where an Envoy in a cluster answers /ready. No
// listener of a Gateway may bind it there.
const DefaultReadinessPort = 19001

// Fleet is how the Envoys of a Gateway are run in a cluster. It decides nothing
// about the configuration that they get, so no digest covers it. Values that
// Kubernetes defines are raw: the core only hands them on.
type Fleet struct {
	// Owner is the UID of the Gateway object, which owns what is made for it.
	Owner string
	// Class is the name of the GatewayClass.
	Class string
	// Labels and Annotations are those of spec.infrastructure.
	Labels      map[string]string
	Annotations map[string]string

	// Replicas is the number of Envoys; 0 for the default.
	Replicas int32
	// Image is the container image of Envoy; "" for the default.
	Image string
	// Resources is a core/v1 ResourceRequirements in JSON; nil for the default.
	Resources []byte
	// LogLevel is one of Envoy's; "" for the default.
	LogLevel string
	// ServiceType is a core/v1 ServiceType; "" for the default.
	ServiceType string
	// ServiceAnnotations are for the Service alone.
	ServiceAnnotations map[string]string
	// PodTemplate is a core/v1 PodTemplateSpec in JSON, to be merged
	// strategically over the one of the fleet; nil for none.
	PodTemplate []byte
}
