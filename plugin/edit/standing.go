package edit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// Standing is what status says of a policy on one Gateway.
type Standing struct {
	Gateway gwapi.Key
	// Settled says that nothing is to be waited for.
	Settled bool
	// Failed says that what settled is not what was asked for.
	Failed bool
	// Text is for people. Some of it may be Envoy's words, or those of whoever
	// else can write the status.
	Text string
}

// Reporting lists the Gateways for which our operator has written status.
func Reporting(policy *gatewayv1.BackendTLSPolicy) []gwapi.Key {
	var list []gwapi.Key
	for _, ancestor := range policy.Status.Ancestors {
		if ancestor.ControllerName == gwapi.ControllerName {
			list = append(list, gatewayOf(policy, ancestor.AncestorRef))
		}
	}
	return list
}

func gatewayOf(policy *gatewayv1.BackendTLSPolicy, ref gatewayv1.ParentReference) gwapi.Key {
	kind, namespace := gwapi.KindGateway, policy.Namespace
	if ref.Kind != nil {
		kind = gwapi.Kind(*ref.Kind)
	}
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	return gwapi.KeyOf(kind, namespace, string(ref.Name))
}

// Standings is what status says of the generation, or of a later one, on the
// Gateways that are expected to and on those that do.
func Standings(policy *gatewayv1.BackendTLSPolicy, generation int64, expected []gwapi.Key) []Standing {
	gateways := append(slices.Clone(expected), Reporting(policy)...)
	slices.SortFunc(gateways, gwapi.CompareKeys)
	var list []Standing
	for _, gateway := range slices.Compact(gateways) {
		var conditions []metav1.Condition
		for _, ancestor := range policy.Status.Ancestors {
			if ancestor.ControllerName == gwapi.ControllerName && gatewayOf(policy, ancestor.AncestorRef) == gateway {
				conditions = ancestor.Conditions
			}
		}
		list = append(list, standing(gateway, conditions, generation))
	}
	return list
}

func standing(gateway gwapi.Key, conditions []metav1.Condition, generation int64) Standing {
	s := Standing{Gateway: gateway}
	current := func(kind string) *metav1.Condition {
		found := meta.FindStatusCondition(conditions, kind)
		if found == nil || found.ObservedGeneration < generation {
			return &metav1.Condition{Status: metav1.ConditionUnknown}
		}
		return found
	}
	accepted, programmed, degraded := current(report.PolicyAccepted), current(report.Programmed),
		current(report.PolicySecurityDegraded)
	if accepted.Reason == "" || programmed.Reason == "" {
		s.Text = fmt.Sprintf("its operator has not spoken of generation %d yet", generation)
		return s
	}
	s.Text = programmed.Message
	switch report.PolicyReason(programmed.Reason) {
	case report.PolicyReasonPending, report.PolicyReasonNotHeard:
		return s
	case report.PolicyReasonRejected:
		s.Failed = true
	default:
	}
	s.Settled = true
	if accepted.Status != metav1.ConditionTrue {
		s.Failed = accepted.Reason != string(report.PolicyReasonConflicted)
		s.Text = fmt.Sprintf("%s (%s); %s", accepted.Message, accepted.Reason, programmed.Message)
		return s
	}
	if degraded.Status == metav1.ConditionTrue {
		s.Text += fmt.Sprintf("; %s: %s", degraded.Reason, degraded.Message)
	}
	return s
}

// Reread takes back that something is settled on a Gateway whose status does not
// say yet that the operator has read the text of that digest (as ResolvedRefs names
// its sources): where only a ConfigMap was changed, status speaks of the same
// generation before and after.
func Reread(policy *gatewayv1.BackendTLSPolicy, list []Standing, digest string) []Standing {
	list = slices.Clone(list)
	for i := range list {
		for _, ancestor := range policy.Status.Ancestors {
			if ancestor.ControllerName != gwapi.ControllerName || gatewayOf(policy, ancestor.AncestorRef) != list[i].Gateway {
				continue
			}
			read := meta.FindStatusCondition(ancestor.Conditions, report.PolicyResolvedRefs)
			if list[i].Settled && (read == nil || !strings.Contains(read.Message, digest)) {
				list[i].Settled = false
				list[i].Text = "its operator has not read the ConfigMap since"
			}
		}
	}
	return list
}

// BundleDigest identifies what the policy trusts of a ConfigMap of ours, in the
// form in which status names it: the leaf certificates where it refers to them,
// else the CA.
func BundleDigest(policy *gatewayv1.BackendTLSPolicy, configMap *corev1.ConfigMap) string {
	key := keyCA
	for _, reference := range elements(policy, OptionCertificates) {
		if object, _, _ := strings.Cut(reference, ":"); object == "configmap/"+configMap.Name {
			key = keyLeaf
		}
	}
	sum := sha256.Sum256([]byte(configMap.Data[key]))
	return "sha256:" + hex.EncodeToString(sum[:])
}
