package resolve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// logLevels are Envoy's.
var logLevels = []string{"trace", "debug", "info", "warning", "error", "critical", "off"}

// serviceTypes are those by which a Gateway can be reached.
var serviceTypes = []corev1.ServiceType{
	corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer,
}

// addEnvoy takes in spec.envoy of one GatewayParameters. Those of the class come
// first; what the Gateway's own say replaces it field by field. What could break
// out of an Envoy's confinement, or costs money, is the class's alone.
func (r *parameterResult) addEnvoy(object gwapi.Key, spec *v1alpha1.Envoy, ofClass bool) {
	if spec == nil {
		return
	}
	fault := func(field, format string, values ...any) {
		r.addFault(fmt.Sprintf("%s spec.envoy.%s: %s", object, field, fmt.Sprintf(format, values...)))
	}
	if spec.Replicas != nil {
		if *spec.Replicas < 1 {
			fault("replicas", "%d is less than 1", *spec.Replicas)
		}
		r.fleet.Replicas = *spec.Replicas
	}
	if spec.LogLevel != nil {
		if !slices.Contains(logLevels, *spec.LogLevel) {
			fault("logLevel", "%q is none of %s", *spec.LogLevel, strings.Join(logLevels, ", "))
		}
		r.fleet.LogLevel = *spec.LogLevel
	}
	if spec.Resources != nil {
		encoded, err := json.Marshal(spec.Resources)
		if err != nil {
			fault("resources", "%v", err)
		}
		r.fleet.Resources = encoded
	}
	if spec.Service != nil && spec.Service.Type != nil {
		if !slices.Contains(serviceTypes, *spec.Service.Type) {
			fault("service.type", "%q is none of %s", *spec.Service.Type, "ClusterIP, NodePort, LoadBalancer")
		}
		r.fleet.ServiceType = string(*spec.Service.Type)
	}
	if spec.MaxStreamDuration != nil {
		if sentence := r.limitSessions(*spec.MaxStreamDuration); sentence != "" {
			fault("maxStreamDuration", "%s", sentence)
		}
	}
	if ofClass {
		r.addClassEnvoy(spec)
	}
}

func (r *parameterResult) addClassEnvoy(spec *v1alpha1.Envoy) {
	if spec.Image != nil {
		r.fleet.Image = *spec.Image
	}
	if spec.Service != nil {
		r.fleet.ServiceAnnotations = spec.Service.Annotations
	}
	if spec.PodTemplate != nil {
		r.fleet.PodTemplate = spec.PodTemplate.Raw
	}
}

// fleet is how the Gateway's Envoys are run in a cluster.
func (g *gatewayNode) fleet() model.Fleet {
	fleet := g.parameters.fleet
	fleet.Owner, fleet.Class = string(g.object.UID), string(g.object.Spec.GatewayClassName)
	if wishes := g.object.Spec.Infrastructure; wishes != nil {
		if len(wishes.Labels) > 0 {
			fleet.Labels = make(map[string]string, len(wishes.Labels))
		}
		for key, value := range wishes.Labels {
			fleet.Labels[string(key)] = string(value)
		}
		if len(wishes.Annotations) > 0 {
			fleet.Annotations = make(map[string]string, len(wishes.Annotations))
		}
		for key, value := range wishes.Annotations {
			fleet.Annotations[string(key)] = string(value)
		}
	}
	return fleet
}
