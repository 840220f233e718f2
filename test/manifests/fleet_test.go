package manifests_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/operator/fleet"
	"github.com/backendtls/backendtls/test/pki"
)

// fleetOf is what the operator makes for Gateway shop/web, with listeners that
// clients know as 80 and 443.
func fleetOf(t *testing.T) []client.Object {
	t.Helper()
	objects, err := fleet.Render(model.Gateway{
		Key:           gwapi.KeyOf(gwapi.KindGateway, "shop", "web"),
		ReadinessPort: model.DefaultReadinessPort,
		Fleet:         model.Fleet{Owner: "8a7f2f4e-0000-4000-8000-000000000001", Class: "backendtls"},
		Listeners: []model.Listener{
			{Port: 10080, Declared: 80, Protocol: model.HTTP},
			{Port: 10443, Declared: 443, Protocol: model.HTTPS},
		},
	}, fleet.Settings{OperatorNamespace: "backendtls-system", Authority: authority(t)})
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// authority is a CA certificate in PEM.
func authority(t *testing.T) []byte {
	t.Helper()
	ca, err := pki.SelfSigned(pki.Request{Name: "backendtls xDS", CA: true})
	if err != nil {
		t.Fatal(err)
	}
	return ca.PEM()
}

// object is the one of a type among those of a fleet.
func object[T client.Object](t *testing.T, objects []client.Object) T {
	t.Helper()
	for _, candidate := range objects {
		if typed, is := candidate.(T); is {
			return typed
		}
	}
	var none T
	t.Fatalf("the fleet has no %T", none)
	return none
}

// workload is a pod template that is shipped or made.
type workload struct {
	name     string
	metadata metav1.ObjectMeta
	spec     corev1.PodSpec
}

func workloads(t *testing.T) []workload {
	t.Helper()
	operator := only[appsv1.Deployment](t, render(t, base)).Spec.Template
	envoy := object[*appsv1.Deployment](t, fleetOf(t)).Spec.Template
	return []workload{
		{"operator", operator.ObjectMeta, operator.Spec},
		{"envoy", envoy.ObjectMeta, envoy.Spec},
	}
}
