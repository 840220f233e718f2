package resolve

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// Allowance is what the GatewayParameters of a Gateway allow the policies of one
// namespace.
type Allowance struct {
	// Modes are those that are allowed, none for none.
	Modes []model.Mode
	// Limited says that a mode may last for Longest at most and needs a beginning
	// and an end; else for any time.
	Limited bool
	Longest time.Duration
	// NeedsReason says that mode-reason has to be given.
	NeedsReason bool
	// Rule names the objects that decide so, and who may change that; where no mode
	// is allowed, in the words in which one is refused.
	Rule string
}

// AllowanceOf answers by the rules by which Build refuses modes. It is about a
// Gateway of ours: another controller has no such rules.
func AllowanceOf(snap *snapshot.Snapshot, gateway gwapi.Key, namespace string) Allowance {
	b := newBuilder(snap)
	object, found := snap.Gateways.Get(gateway.NamespacedName())
	if !found {
		return Allowance{Rule: gateway.String() + " does not exist"}
	}
	parameters := b.parameters(object)
	request := modeRequest{since: snap.Now, until: snap.Now, reason: "any", namespace: namespace}
	if object, found := snap.Namespaces.Get(types.NamespacedName{Name: namespace}); found {
		request.namespaceLabels = labels.Merge(labels.Set{}, object.Labels)
	}
	var allowance Allowance
	for _, mode := range model.Modes {
		if request.mode = mode; mode.Insecure() && parameters.refuse(gateway, request) == "" {
			allowance.Modes = append(allowance.Modes, mode)
		}
	}
	if len(allowance.Modes) == 0 {
		request.mode = model.InsecureSkipVerification
		allowance.Rule = parameters.refuse(gateway, request)
		return allowance
	}
	var names []string
	for _, bound := range parameters.bounds {
		names = append(names, bound.object.String())
		allowance.NeedsReason = allowance.NeedsReason || bound.needsReason
		if bound.limited && (!allowance.Limited || bound.limit < allowance.Longest) {
			allowance.Limited, allowance.Longest = true, bound.limit
		}
	}
	allowance.Rule = fmt.Sprintf("spec.backendTLS of %s; who may write that GatewayParameters may change the rule",
		strings.Join(names, " and "))
	return allowance
}
