package resolve

import (
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// apiVersion is the release of the Gateway API that this program follows, and
// apiRelease how the versions of its patch releases begin, which change nothing
// in the API (gateway-api v1.7.0, Versioning).
const (
	apiVersion = "v1.7.0"
	apiRelease = "v1.7."
)

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
		b.reports[gwapi.KeyOf(gwapi.KindGatewayClass, "", class.Name)] = report.Report{
			Generation: class.Generation,
			Conditions: []metav1.Condition{accepted, b.supportedVersion()},
			Features:   b.supportedFeatures(),
		}
	}
}

// supportedVersion says whether the API that is installed is the one that this
// program follows. One CRD of another release is enough for no.
func (b *builder) supportedVersion() metav1.Condition {
	if b.snap.Site.Standalone {
		// Files are checked against the schemas that are compiled in.
		return report.ClassSupportedVersion(apiVersion)
	}
	if len(b.snap.Bundles) == 0 {
		return report.ClassUnknownVersion(apiVersion)
	}
	var others, versions []string
	for _, name := range slices.Sorted(maps.Keys(b.snap.Bundles)) {
		switch version := b.snap.Bundles[name]; {
		case version == "":
			others = append(others, name+" has no bundle version")
		case !strings.HasPrefix(version, apiRelease):
			others = append(others, name+" is of "+version)
		case !slices.Contains(versions, version):
			versions = append(versions, version)
		}
	}
	if len(others) > 0 {
		return report.ClassUnsupportedVersion(apiVersion, others)
	}
	slices.Sort(versions)
	return report.ClassInstalledVersion(strings.Join(versions, ", "))
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
