// Package v1alpha1 is the API group backendtls.dev/v1alpha1: GatewayParameters,
// the one custom resource of this project. Types and generated code only.
//
// +kubebuilder:object:generate=true
// +groupName=backendtls.dev
package v1alpha1
