package loop

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// publish translates a Gateway whose model or shares changed, and hands it on.
// It says whether what could not be translated changed: status depends on it.
func (l *Loop) publish(key gwapi.Key, gateway model.Gateway) bool {
	last, known := l.published[key]
	if gateway.Digest == unknown ||
		known && last.digest == gateway.Digest && maps.Equal(last.shares, gateway.Shares) {
		return false
	}
	resources, faults := l.translate(gateway)
	for _, fault := range faults {
		l.Log.Error("left out, requests to it answer 500", "gateway", key.String(),
			"object", fault.Object.String(), "resource", fault.Resource, "fault", fault.Message, "stack", fault.Stack)
	}
	// Assignments first: a cluster that finds none does not warm, and while it
	// does not, Envoy acknowledges no other cluster either.
	l.Endpoints.Sync(key, gateway.Backends)
	l.Publisher.Publish(key, resources, gateway.Shares)
	l.published[key] = publication{digest: gateway.Digest, shares: gateway.Shares}
	changed := !slices.Equal(l.faults[key], faults)
	if len(faults) == 0 {
		delete(l.faults, key)
	} else {
		l.faults[key] = faults
	}
	return changed
}

// untranslatable is a sentence per Gateway that has faults.
func (l *Loop) untranslatable() map[gwapi.Key]string {
	sentences := make(map[gwapi.Key]string, len(l.faults))
	for key, faults := range l.faults {
		var parts []string
		for _, fault := range faults {
			parts = append(parts, fmt.Sprintf("%s: %s", fault.Object, fault.Message))
		}
		sentences[key] = strings.Join(parts, "; ")
	}
	return sentences
}

// rejections are the faults in the form in which an Envoy's refusals are
// told: either way the resource is not in force.
func (l *Loop) rejections(key gwapi.Key) []model.Rejection {
	var rejections []model.Rejection
	for _, fault := range l.faults[key] {
		rejections = append(rejections, model.Rejection{
			Type: resourceType(fault.Object.Kind), Name: fault.Resource, Message: "not sent to Envoy: " + fault.Message,
		})
	}
	return rejections
}

// resourceType is the type of the resource that an object of the kind decides.
func resourceType(kind gwapi.Kind) string {
	switch kind {
	case gwapi.KindBackendTLSPolicy, gwapi.KindService:
		return "Cluster"
	case gwapi.KindSecret:
		return "Secret"
	case gwapi.KindGateway:
		return "Listener"
	default:
		return "RouteConfiguration"
	}
}
