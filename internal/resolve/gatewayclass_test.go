package resolve_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

func TestAClassSaysWhichReleaseOfTheGatewayAPIIsInstalled(t *testing.T) {
	const gateways, routes = "gateways.gateway.networking.k8s.io", "httproutes.gateway.networking.k8s.io"
	for sentence, c := range map[string]struct {
		bundles map[string]string
		status  metav1.ConditionStatus
		reason  string
		words   []string
	}{
		"nobody looked": {nil, "Unknown", "Pending", []string{"were not read"}},
		"the one that is followed": {
			map[string]string{gateways: "v1.7.0", routes: "v1.7.0"}, "True", "SupportedVersion", []string{"v1.7.0"},
		},
		"a later patch of it": {
			map[string]string{gateways: "v1.7.2", routes: "v1.7.2"}, "True", "SupportedVersion", []string{"v1.7.2"},
		},
		"an older one": {
			map[string]string{gateways: "v1.4.0", routes: "v1.4.0"},
			"False", "UnsupportedVersion",
			[]string{"supported is Gateway API v1.7.0", gateways + " is of v1.4.0", routes + " is of v1.4.0"},
		},
		"a newer one": {map[string]string{gateways: "v1.70.0"}, "False", "UnsupportedVersion", []string{"v1.70.0"}},
		"two at once": {
			map[string]string{gateways: "v1.7.0", routes: "v1.8.0"},
			"False", "UnsupportedVersion",
			[]string{routes + " is of v1.8.0"},
		},
		"one without a version": {
			map[string]string{gateways: "v1.7.0", routes: ""},
			"False", "UnsupportedVersion",
			[]string{routes + " has no bundle version"},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			snap := &snapshot.Snapshot{
				Now: buildTime, Bundles: c.bundles,
				GatewayClasses: snapshot.NewObjects(&gatewayv1.GatewayClass{
					Name: "backendtls", Spec: gatewayv1.GatewayClassSpec{ControllerName: gwapi.ControllerName},
				}),
			}
			class := resolve.Build(snap).Reports[gwapi.KeyOf(gwapi.KindGatewayClass, "", "backendtls")]
			got := meta.FindStatusCondition(class.Conditions, "SupportedVersion")
			if got == nil || got.Status != c.status || got.Reason != c.reason {
				t.Fatalf("got %+v", got)
			}
			for _, words := range c.words {
				if !strings.Contains(got.Message, words) {
					t.Errorf("%q lacks %q", got.Message, words)
				}
			}
			if !meta.IsStatusConditionTrue(class.Conditions, "Accepted") {
				t.Error("the class is not accepted")
			}
		})
	}
}
