package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/test/manifests"
	"github.com/backendtls/backendtls/test/pki"
)

// TestTheOperatorLooksAtLiveCertificates: nothing before the component is
// applied, then what each policy as written makes of what the pods present.
func TestTheOperatorLooksAtLiveCertificates(t *testing.T) {
	team, authority, address := newTeam(t, 2)
	team.expect(time.Minute, "BackendsVerified", metav1.ConditionUnknown, "NotProbed")
	if said := team.condition("BackendsVerified").Message; !strings.Contains(said, "spec.probe.enabled: true") {
		t.Errorf("how it is turned on is not said: %s", said)
	}
	probeComponent(t)
	defer team.unchecked(t)
	team.checks(t)
	team.expect(90*time.Second, "BackendsVerified", metav1.ConditionTrue, "Verified")
	eventually(t, time.Minute, "both endpoints pass", func() string {
		condition := team.condition("BackendsVerified")
		if condition == nil || !strings.HasPrefix(condition.Message, "2 of 2 endpoints pass") {
			return fmt.Sprint(condition)
		}
		return ""
	})

	// The policy asks for what the pods do not present: refused, and said so within
	// seconds.
	stranger, err := pki.SelfSigned(pki.Request{
		Name: "another CA", CA: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	team.trusts(t, string(stranger.PEM()))
	team.expect(60*time.Second, "BackendsVerified", metav1.ConditionFalse, "UntrustedIssuer")
	eventually(t, time.Minute, "what both endpoints present is said", func() string {
		condition := team.condition("BackendsVerified")
		if condition == nil || !strings.HasPrefix(condition.Message, "0 of 2 endpoints pass") ||
			!strings.Contains(condition.Message, "cert-sha256:") {
			return fmt.Sprint(condition)
		}
		return ""
	})
	team.answers(time.Minute, address, 503)

	team.trusts(t, string(authority.PEM()))
	team.expect(60*time.Second, "BackendsVerified", metav1.ConditionTrue, "Verified")
	team.answers(time.Minute, address, 200)

	// While verification is skipped, status says what it would say.
	team.options(map[string]string{
		edit.OptionMode: "InsecureSkipVerification", edit.OptionReason: "a test of live checks",
		edit.OptionSince: time.Now().UTC().Add(-time.Minute).Format(time.RFC3339),
		edit.OptionUntil: time.Now().UTC().Add(30 * time.Minute).Format(time.RFC3339),
	})
	eventually(t, time.Minute, "SecurityDegraded says what strict verification would say", func() string {
		condition := team.condition("SecurityDegraded")
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return "it is not True"
		}
		if !strings.Contains(condition.Message, "strict verification would pass now for 2 of 2 endpoints") {
			return condition.Message
		}
		return ""
	})
}

// probeComponent applies manifests/components/probe for the time of the test,
// and waits until the API server knows of it: a question before that would look
// like a right that the roles lack.
func probeComponent(t *testing.T) {
	t.Helper()
	rendered, err := manifests.Render(root + "/manifests/components/probe")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range rendered {
		if err := here.client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		removeAfter(t, object)
	}
	eventually(t, time.Minute, "the operator may read pods", func() string {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + manifests.OperatorNamespace + ":" + manifests.OperatorServiceAccount,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: system, Verb: "get", Resource: "pods",
			},
		}}
		if err := here.client.Create(t.Context(), review); err != nil || !review.Status.Allowed {
			return fmt.Sprintf("%v: %s", err, review.Status.Reason)
		}
		return ""
	})
}

// checks turns live checks on, as often as may be.
func (s *space) checks(t *testing.T) {
	t.Helper()
	var parameters v1alpha1.GatewayParameters
	if err := here.client.Get(t.Context(), s.key("web"), &parameters); err != nil {
		t.Fatal(err)
	}
	parameters.Spec.Probe = &v1alpha1.Probe{Enabled: new(true), Interval: &metav1.Duration{Duration: 10 * time.Second}}
	if err := here.client.Update(t.Context(), &parameters); err != nil {
		t.Fatal(err)
	}
}

// unchecked turns live checks off and waits until they are: a question without
// the right to ask would look like a right that the roles lack.
func (s *space) unchecked(t *testing.T) {
	t.Helper()
	var parameters v1alpha1.GatewayParameters
	if err := here.client.Get(t.Context(), s.key("web"), &parameters); err != nil {
		t.Fatal(err)
	}
	parameters.Spec.Probe = nil
	if err := here.client.Update(t.Context(), &parameters); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, "live checks are off", func() string {
		condition := s.condition("BackendsVerified")
		if condition == nil || !strings.Contains(condition.Message, "live checks are off") {
			return "BackendsVerified does not say so"
		}
		return ""
	})
}

// trusts replaces the CA of policy api.
func (s *space) trusts(t *testing.T, pem string) {
	t.Helper()
	var ca corev1.ConfigMap
	if err := here.client.Get(t.Context(), s.key("ca"), &ca); err != nil {
		t.Fatal(err)
	}
	ca.Data["ca.crt"] = pem
	if err := here.client.Update(t.Context(), &ca); err != nil {
		t.Fatal(err)
	}
}
