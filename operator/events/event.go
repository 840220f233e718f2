package events

import (
	"fmt"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// The limits of the API, in bytes (k8s.io/api/events/v1, Event). A name ends in
// a digest, so that what is cut off costs nothing.
const (
	maxNote     = 1024
	maxInstance = 128
	maxPrefix   = 200
)

// The actions: what this operator was doing.
const (
	actionEnforce = "Enforce"
	actionProbe   = "Probe"
)

// event is what a change is told by. It regards the policy, and is related to
// the Gateway that the change is about.
func (r *Recorder) event(policy metav1.Object, change *report.Change) *eventsv1.Event {
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.GetNamespace(), policy.GetName())
	digest := model.Digest(policy.GetUID(), policy.GetResourceVersion(), change.Gateway,
		change.Condition, change.Status, change.Reason)
	action := actionEnforce
	if change.Condition == report.PolicyBackendsVerified {
		action = actionProbe
	}
	return &eventsv1.Event{
		Namespace:           policy.GetNamespace(),
		Name:                shorten(policy.GetName(), maxPrefix) + "." + digest[:16],
		EventTime:           metav1.NewMicroTime(r.config.Now()),
		ReportingController: gwapi.ControllerName,
		ReportingInstance:   shorten(r.config.Instance, maxInstance),
		Action:              action,
		Reason:              change.Reason,
		Type:                change.EventType(),
		Note:                note(change),
		Regarding: corev1.ObjectReference{
			APIVersion: gatewayv1.GroupVersion.String(), Kind: string(key.Kind),
			Namespace: policy.GetNamespace(), Name: policy.GetName(), UID: policy.GetUID(),
		},
		Related: &corev1.ObjectReference{
			APIVersion: gatewayv1.GroupVersion.String(), Kind: string(change.Gateway.Kind),
			Namespace: change.Gateway.Namespace, Name: change.Gateway.Name,
		},
	}
}

// note says which condition is what, on which Gateway, and why.
func note(change *report.Change) string {
	status := string(change.Status)
	if status == "" {
		status = "gone"
	}
	was := ""
	if change.WasReason != "" {
		was = fmt.Sprintf(" (was %s)", change.WasReason)
	}
	return shorten(fmt.Sprintf("%s is %s on %s%s: %s", change.Condition, status, change.Gateway, was, change.Message),
		maxNote)
}

// shorten cuts a text at the end of a character.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
