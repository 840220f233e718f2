package resolve

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// addressInUse is how Envoy begins to say that somebody else has a port.
const addressInUse = "Address already in use"

// refusedBind is what an Envoy said when it could not bind the listener's port
// because somebody else has it, "" if none said so.
func (b *builder) refusedBind(l *listenerNode) string {
	for _, envoy := range b.snap.Observed.Envoys[l.gateway.key] {
		for i := range envoy.Rejections {
			rejection := &envoy.Rejections[i]
			if strings.Contains(rejection.Message, addressInUse) && l.concerns(rejection) {
				return fmt.Sprintf("%s: %s", envoy.Name, words(rejection.Message))
			}
		}
	}
	return ""
}

// concerns says whether a rejection is about the port of the listener: by the
// name of the resource, or by Envoy's words, which name the socket.
func (l *listenerNode) concerns(rejection *model.Rejection) bool {
	name := fmt.Sprintf("%s/%d", strings.ToLower(string(l.protocol())), l.bound)
	return rejection.Name == name || strings.HasPrefix(rejection.Name, name+"/") ||
		rejection.Type == "Listener" && strings.Contains(rejection.Message, fmt.Sprintf(":%d'", l.bound))
}

// programmed is Programmed of the Gateway, or of one of its listeners (nil for
// the Gateway): whether every expected Envoy does what its spec asks.
func (b *builder) programmed(g *gatewayNode, l *listenerNode) metav1.Condition {
	if why, broken := b.snap.Observed.Untranslatable[g.key]; broken {
		return report.ProgrammedInvalid("the configuration of the Gateway could not be built: " + why)
	}
	envoys := b.snap.Observed.Envoys[g.key]
	if len(envoys) == 0 {
		return report.ProgrammedNoDataPlane()
	}
	var waiting, silent []string
	for i := range envoys {
		envoy := &envoys[i]
		if rejection := b.rejection(envoy, g, l); rejection != nil {
			resource := strings.TrimSuffix(fmt.Sprintf("%s %s", rejection.Type, rejection.Name), " ")
			return report.ProgrammedRejected(envoy.Name, resource, words(rejection.Message))
		}
		switch {
		case envoy.Settled[g.key] == g.model.Shares[g.key]:
		case !envoy.Connected && len(envoy.Settled) == 0 && wasProgrammed(g):
			silent = append(silent, envoy.Name)
		default:
			waiting = append(waiting, envoy.Name)
		}
	}
	switch {
	case len(waiting) > 0:
		return report.ProgrammedPending(waiting, len(envoys))
	case len(silent) > 0:
		return report.ProgrammedNotHeard(silent)
	default:
		return report.ProgrammedTrue(len(envoys))
	}
}

// rejection is one that keeps the Gateway, or the listener, from being served
// as its spec says. Clusters with a trust are their policies' affair.
func (b *builder) rejection(envoy *model.Envoy, g *gatewayNode, l *listenerNode) *model.Rejection {
	for i := range envoy.Rejections {
		rejection := &envoy.Rejections[i]
		if l != nil {
			if l.concerns(rejection) {
				return rejection
			}
			continue
		}
		if backend, known := g.backends[rejection.Name]; known && backend.Trust != nil {
			continue
		}
		return rejection
	}
	return nil
}

// wasProgrammed says whether status last said that the Envoys have it, or that
// they have not been heard since: then an Envoy that says nothing has outlived
// an operator, and is not merely young.
func wasProgrammed(g *gatewayNode) bool {
	for _, condition := range g.object.Status.Conditions {
		if condition.Type == report.Programmed {
			return condition.Status == metav1.ConditionTrue || condition.Reason == report.ReasonNotHeard
		}
	}
	return false
}

// words are Envoy's, which may be long.
func words(message string) string {
	if len(message) <= maxWords {
		return fmt.Sprintf("%q", message)
	}
	return fmt.Sprintf("%q ...", strings.ToValidUTF8(message[:maxWords], ""))
}
