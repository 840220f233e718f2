package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is backendtls.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "backendtls.dev", Version: "v1alpha1"}

// AddToScheme registers the types of this package.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &GatewayParameters{}, &GatewayParametersList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
