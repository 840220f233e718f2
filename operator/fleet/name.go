package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

const (
	namePrefix = "backendtls-"
	// maxName is the length of a DNS label, which the name of a Service is, and
	// of a label's value.
	maxName = 63
	// maxReadable is how much of a long name is left in front of its hash.
	maxReadable = 30
)

// Name is that of all objects of a Gateway's fleet: backendtls-NAME, and where
// that is no DNS label of less than 63 characters, a part of it and a hash. The
// latter always has 63 characters, so no two Gateways of a namespace get one
// name.
func Name(gateway gwapi.Key) string {
	name := namePrefix + gateway.Name
	if len(name) < maxName && !strings.Contains(name, ".") {
		return name
	}
	return shorten(namePrefix+strings.ReplaceAll(gateway.Name, ".", "-"), gateway.Name)
}

// shorten makes 63 characters of a readable beginning and a hash of the whole.
func shorten(readable, whole string) string {
	readable = strings.TrimRight(readable[:min(len(readable), maxReadable)], "-.")
	sum := sha256.Sum256([]byte(whole))
	return readable + "-" + hex.EncodeToString(sum[:])[:maxName-len(readable)-1]
}

// labelValue is a name as the value of a label.
func labelValue(name string) string {
	if len(name) <= maxName {
		return name
	}
	return shorten(name, name)
}

// The labels of everything in a fleet. LabelName, LabelManagedBy and LabelPartOf
// are Kubernetes' recommended ones; the others are GEP-1762's.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelGateway   = gatewayv1.GatewayNameLabelKey
	LabelClass     = gatewayv1.GatewayClassNameLabelKey

	// EnvoyName is the value of LabelName.
	EnvoyName = "backendtls-envoy"
	// OperatorName is the value of LabelManagedBy, the field manager of every
	// write, and the value of LabelName on the operator's own pods.
	OperatorName = "backendtls-operator"
	partOf       = "backendtls"
)

// selectorLabels select the pods of a Gateway within its namespace. They can
// never change: a Deployment's selector is immutable. Whoever takes from a pod a
// label that the operator sees pods by (LabelName, LabelPartOf) takes it from its
// Service and ReplicaSet too: none gets requests that status does not speak of.
func selectorLabels(gateway gwapi.Key) map[string]string {
	return map[string]string{LabelName: EnvoyName, LabelPartOf: partOf, LabelGateway: labelValue(gateway.Name)}
}

// labels are those of every object: the Gateway's own wishes, which override
// none of ours.
func labels(gateway *model.Gateway) map[string]string {
	all := maps.Clone(gateway.Fleet.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, selectorLabels(gateway.Key))
	all[LabelManagedBy] = OperatorName
	all[LabelPartOf] = partOf
	all[LabelClass] = labelValue(gateway.Fleet.Class)
	return all
}
