package conformance

import (
	"embed"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/http"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/roundtripper"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// manifests are the objects of the cases of this project; the suite applies
// them as it applies its own.
//
//go:embed testdata/own-*.yaml
var manifests embed.FS

// ownTests are cases of this project beside those of the suite.
var ownTests = []suite.ConformanceTest{
	ownHostname, ownSubjectAltName, ownMalformedCA, ownTrustBundle,
	ownMalformedClientCertificate, ownClients, ownMalformedClientCA,
}

// infra is an object of the suite's namespace for Gateways.
func infra(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: suite.InfrastructureNamespace, Name: name}
}

// edit reads an object, changes it and writes the difference.
func edit[T client.Object](t *testing.T, judge *suite.ConformanceTestSuite, name string, object T, change func(T)) {
	t.Helper()
	if err := judge.Client.Get(t.Context(), infra(name), object); err != nil {
		t.Fatal(err)
	}
	before, ok := object.DeepCopyObject().(client.Object)
	if !ok {
		t.Fatalf("a copy of %T is no object", object)
	}
	change(object)
	if err := judge.Client.Patch(t.Context(), object, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// editPolicy changes a BackendTLSPolicy.
func editPolicy(
	t *testing.T, judge *suite.ConformanceTestSuite, name string, change func(*gatewayv1.BackendTLSPolicyValidation),
) {
	t.Helper()
	edit(t, judge, name, &gatewayv1.BackendTLSPolicy{}, func(policy *gatewayv1.BackendTLSPolicy) {
		change(&policy.Spec.Validation)
	})
}

// condition is one that is waited for.
func condition(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason}
}

// policyHas waits for a condition of a policy at a Gateway.
func policyHas(
	t *testing.T, judge *suite.ConformanceTestSuite, policy, gateway string, conditions ...metav1.Condition,
) {
	t.Helper()
	for _, c := range conditions {
		kubernetes.BackendTLSPolicyMustHaveCondition(t, judge.Client, judge.TimeoutConfig, infra(policy), infra(gateway), c)
	}
}

// answers waits until what a request gets is right several times in a row; why
// says what is wrong, "" for nothing.
func answers(
	t *testing.T, judge *suite.ConformanceTestSuite, request roundtripper.Request,
	why func(*roundtripper.CapturedRequest, *roundtripper.CapturedResponse, error) string,
) {
	t.Helper()
	last := ""
	defer func() {
		if t.Failed() && last != "" {
			t.Logf("the last answer to %s: %s", request.URL.String(), last)
		}
	}()
	http.AwaitConvergence(t, judge.TimeoutConfig, func(time.Duration) bool {
		seen, answer, err := judge.RoundTripper.CaptureRoundTrip(request)
		last = why(seen, answer, err)
		return last == ""
	})
}
