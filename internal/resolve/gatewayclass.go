package resolve

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// apiVersion is the release of the Gateway API that this program follows.
const apiVersion = "v1.7.0"

// classes reports on the GatewayClasses that name our controller.
func (b *builder) classes() {
	for _, class := range b.snap.GatewayClasses.Sorted() {
		if !isOurs(class) {
			continue
		}
		accepted := report.ClassAccepted()
		if fault := b.classParameters(gwapi.Key{}, class).Fault; fault != "" {
			accepted = report.ClassInvalidParameters(fault)
		}
		version := report.ClassUnknownVersion(apiVersion)
		if b.snap.Site.Standalone {
			// Files are checked against the schemas that are compiled in.
			version = report.ClassSupportedVersion(apiVersion)
		}
		b.reports[gwapi.KeyOf(gwapi.KindGatewayClass, "", class.Name)] = report.Report{
			Generation: class.Generation,
			Conditions: []metav1.Condition{accepted, version},
		}
	}
}

// classOf is the class of a Gateway, nil where it is not known.
func (b *builder) classOf(gateway *gatewayv1.Gateway) *gatewayv1.GatewayClass {
	class, found := b.snap.GatewayClasses.Get(types.NamespacedName{Name: string(gateway.Spec.GatewayClassName)})
	if !found {
		return nil
	}
	return class
}

func isOurs(class *gatewayv1.GatewayClass) bool {
	return class != nil && class.Spec.ControllerName == gwapi.ControllerName
}
