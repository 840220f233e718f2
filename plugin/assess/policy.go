package assess

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// policy describes what a policy decides; trust is what is enforced of it.
func (a *Assessor) policy(
	decision *model.Decision, object *gatewayv1.BackendTLSPolicy, trust *model.Trust,
) *cliv1alpha1.Policy {
	described := &cliv1alpha1.Policy{
		Namespace:      untrusted.Text(decision.Policy.Namespace),
		Name:           untrusted.Text(decision.Policy.Name),
		Mode:           a.mode(decision, trust),
		IgnoredOptions: untrusted.Texts(decision.Ignored),
	}
	if trust != nil {
		described.Trust = describeTrust(trust, object)
	}
	described.Notes = notes(decision, object, trust)
	return described
}

func (a *Assessor) mode(decision *model.Decision, trust *model.Trust) cliv1alpha1.Mode {
	mode := cliv1alpha1.Mode{
		Requested: string(decision.Requested),
		State:     string(decision.State),
		Since:     optionalTime(decision.Since),
		Until:     optionalTime(decision.Until),
		Reason:    untrusted.Text(decision.Reason),
	}
	if mode.Requested == "" {
		mode.Requested = string(model.Standard)
	}
	if trust != nil {
		mode.Enforced = string(trust.Mode)
		if trust.Mode == "" {
			mode.Enforced = string(model.Standard)
		}
	}
	if decision.State == model.ModeActive && !decision.Until.IsZero() {
		mode.SecondsLeft = new(int64(decision.Until.Sub(a.World.Snapshot.Now) / time.Second))
	}
	return mode
}

func optionalTime(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return new(metav1.NewTime(t.UTC()))
}

func describeTrust(trust *model.Trust, object *gatewayv1.BackendTLSPolicy) *cliv1alpha1.Trust {
	described := &cliv1alpha1.Trust{
		SNI:        untrusted.Text(trust.SNI),
		Anchors:    len(trust.Anchors),
		IgnoreTime: trust.IgnoreTime,
		Digest:     trust.Digest(),
	}
	if len(trust.Anchors) > 0 {
		described.Authorities = authorities(object)
	}
	for _, name := range trust.Names {
		described.Names = append(described.Names, untrusted.Text(string(name.Kind)+":"+name.Value))
	}
	for _, leaf := range trust.Leaves {
		described.Pins = append(described.Pins, leaf.String())
	}
	return described
}

// authorities are where the trusted certificates of a policy come from, in the
// words of the policy.
func authorities(object *gatewayv1.BackendTLSPolicy) []string {
	if object == nil {
		return nil
	}
	var list []string
	validation := object.Spec.Validation
	pinsOnly := option(object, "pins-only") == "true"
	if !pinsOnly {
		for _, ref := range validation.CACertificateRefs {
			list = append(list, strings.ToLower(string(ref.Kind))+"/"+string(ref.Name))
		}
		if validation.WellKnownCACertificates != nil &&
			*validation.WellKnownCACertificates == gatewayv1.WellKnownCACertificatesSystem {
			list = append(list, "System")
		}
	}
	return untrusted.Texts(append(list, words(option(object, "trusted-certificates"))...))
}

// option is the value of one of our keys, "" if absent.
func option(object *gatewayv1.BackendTLSPolicy, name string) string {
	return string(object.Spec.Options[gatewayv1.AnnotationKey(gwapi.Prefix+name)])
}

// words splits a list as the options write it.
func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// notes are what is easily missed about a policy.
func notes(decision *model.Decision, object *gatewayv1.BackendTLSPolicy, trust *model.Trust) []string {
	var list []string
	if trust != nil && len(trust.Anchors) == 0 && len(trust.Leaves) > 0 {
		list = append(list, "a bare pin is trusted: neither dates nor names of the certificate are checked")
	}
	if decision.State == model.ModeAnnounced {
		list = append(list, fmt.Sprintf("mode %s waits until the operator's status shows it; strict until then",
			decision.Requested))
	}
	if object != nil {
		for _, name := range object.Spec.Validation.SubjectAltNames {
			if strings.HasPrefix(string(name.Hostname), "*.") {
				list = append(list, fmt.Sprintf("subjectAltNames %s matches only a certificate with that very wildcard",
					untrusted.Text(string(name.Hostname))))
			}
		}
	}
	return list
}
