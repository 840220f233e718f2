package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/report"
)

// maxAncestors is how many entries a policy's status has room for
// (gateway-api, PolicyStatus.ancestors).
const maxAncestors = 16

// tlsStanding is one policy on one Gateway.
type tlsStanding struct {
	policy, gateway gwapi.Key
	judged          *tlsPolicy
	// ports are those the Gateway reaches and the policy decides, for messages.
	ports []string
	// protocols are what those ports are spoken to in.
	protocols map[string][]model.BackendProtocol
	// unspoken are the faults of what those ports are spoken to in and may not be
	// offered. Only that answers 500: whoever adds a route of another kind to a port
	// takes nothing from the routes that lead there already.
	unspoken []string
	// live is our entry as it was read.
	live liveEntry
	// crowded says that the policy's status has no room for this Gateway.
	crowded bool
	// refused says why the ports answer 500 here.
	refused policyFault
	// unresolved says which reference cannot be used on this Gateway, beside those
	// that cannot be used anywhere.
	unresolved policyFault
	// identity is the client certificate for the backends, nil for none.
	identity *model.KeyPair
	// conflict says which targets were lost to other policies, "" for none;
	// keepsAny whether the policy has others.
	conflict string
	keepsAny bool
	request  modeRequest
	state    model.ModeState
	// trust is what Envoy enforces; nil where refused. It lacks what depends on
	// the port.
	trust *model.Trust
	// written is the policy without its mode on this Gateway; nil as trust is.
	written *model.Trust
	// told is the mode that SecurityDegraded=True must name; Standard if none.
	told model.Mode
	// holders are the Envoys that may still use another mode than the one asked
	// for.
	holders []string
}

// liveEntryOf is our entry for the Gateway in the policy's status.
func liveEntryOf(policy *gatewayv1.BackendTLSPolicy, gateway gwapi.Key) liveEntry {
	wanted := report.PolicyAncestor(gateway).AncestorRef
	for i := range policy.Status.Ancestors {
		entry := &policy.Status.Ancestors[i]
		if entry.ControllerName == gwapi.ControllerName &&
			gwapi.SameParentRef(&entry.AncestorRef, &wanted, policy.Namespace) {
			return entry.Conditions
		}
	}
	return nil
}

// assignSlots finds the Gateways that a policy's status has no room for. The
// entries of others count; of our own Gateways the older come first.
func (p *tlsPolicies) assignSlots() {
	byPolicy := map[gwapi.Key][]*tlsStanding{}
	for _, standing := range p.ordered {
		byPolicy[standing.policy] = append(byPolicy[standing.policy], standing)
	}
	for policy, group := range byPolicy {
		object, found := p.b.snap.TLSPolicies.Get(policy.NamespacedName())
		if !found {
			continue
		}
		free := maxAncestors
		for i := range object.Status.Ancestors {
			if object.Status.Ancestors[i].ControllerName != gwapi.ControllerName {
				free--
			}
		}
		if len(group) <= free {
			continue
		}
		byAge := slices.SortedFunc(slices.Values(group), p.compareAge)
		for _, standing := range byAge[max(free, 0):] {
			standing.crowded = true
		}
	}
}

// compareAge orders standings by the age of their Gateway, then by name.
func (p *tlsPolicies) compareAge(a, b *tlsStanding) int {
	first, _ := p.b.snap.Gateways.Get(a.gateway.NamespacedName())
	second, _ := p.b.snap.Gateways.Get(b.gateway.NamespacedName())
	if first == nil || second == nil {
		return gwapi.CompareKeys(a.gateway, b.gateway)
	}
	return cmp.Or(first.CreationTimestamp.Compare(second.CreationTimestamp.Time),
		gwapi.CompareKeys(a.gateway, b.gateway))
}

// settle decides what the policy means on the Gateway.
func (p *tlsPolicies) settle(s *tlsStanding) {
	s.judged = p.judge(s.policy, s.gateway)
	s.told = model.Standard
	if s.judged == nil {
		return
	}
	s.conflict, s.keepsAny = p.targets.conflict(s.judged.object)
	s.refused = s.judged.refused
	if s.crowded {
		s.refused = policyFault{report.PolicyReasonInvalid, fmt.Sprintf(
			"status.ancestors has room for %d entries and none is left for %s", maxAncestors, s.gateway)}
	}
	parameters := p.parametersOf(s.gateway)
	s.refuseOffer(parameters)
	p.settleIdentity(s)
	p.settleMode(s)
	if !s.refused.some() {
		s.enforce(parameters.floor)
	}
	p.tell(s)
}

// refuseOffer refuses what cannot be spoken on the Gateway, or to any port of it.
func (s *tlsStanding) refuseOffer(parameters parameterResult) {
	if s.refused.some() {
		return
	}
	offer := &s.judged.options.offer
	spoken := s.separateUnspoken(offer)
	var faults []string
	if spoken == 0 {
		faults = s.unspoken
	}
	if fault := offer.floorFault(s.gateway, parameters.floor, parameters.where); fault != "" {
		faults = append(slices.Clip(faults), fault)
	}
	if len(faults) > 0 {
		s.refused = policyFault{report.PolicyReasonInvalid, report.List(faults)}
	}
}

// separateUnspoken notes what cannot be offered what is asked for, and counts
// what can be.
func (s *tlsStanding) separateUnspoken(offer *tlsOffer) (spoken int) {
	for _, port := range slices.Sorted(maps.Keys(s.protocols)) {
		for _, protocol := range slices.Sorted(slices.Values(s.protocols[port])) {
			if fault := offer.protocolFault(port, protocol); fault != "" {
				s.unspoken = append(s.unspoken, fault)
			} else {
				spoken++
			}
		}
	}
	return spoken
}

// settleMode finds out where the requested mode stands on the Gateway.
func (p *tlsPolicies) settleMode(s *tlsStanding) {
	options := s.judged.options
	if s.refused.some() || !options.mode.Insecure() {
		return
	}
	s.request = modeRequest{
		mode:      options.mode,
		since:     options.since,
		until:     options.until,
		reason:    options.reason,
		namespace: s.policy.Namespace,
	}
	parameters := p.parametersOf(s.gateway)
	namespace, why, sentence := find(p.b, s.gateway, gwapi.KindNamespace, p.b.snap.Namespaces,
		types.NamespacedName{Name: s.policy.Namespace})
	if why == present {
		s.request.namespaceLabels = labels.Merge(labels.Set{}, namespace.Labels)
	}
	refusal := parameters.refuse(s.gateway, s.request)
	s.state = standModeState(s.request, refusal != "", s.live, p.b.snap.Now)
	switch s.state {
	case model.ModeNotStarted:
		p.b.deadline(options.since)
	case model.ModeAnnounced, model.ModeActive:
		p.b.deadline(options.until)
	case model.ModeRefused:
		if s.live.wasInForce(s.request) {
			p.b.deadline(options.until)
		}
	case model.ModeNone, model.ModeExpired:
	}
	if s.state != model.ModeRefused {
		return
	}
	s.refused = policyFault{report.PolicyReasonModeNotAllowed, refusal}
	switch {
	case parameters.Fault == "" && parameters.Unseen != "":
		s.state, s.refused.reason = model.ModeNone, report.PolicyReasonUnseen
	case why == unseen && parameters.selects():
		s.state, s.refused = model.ModeNone, policyFault{report.PolicyReasonUnseen, sentence}
	}
}

// enforce chooses between the policy as written and under its mode. Either way
// the Gateway's TLS floor holds: a mode weakens what is verified, not what is
// spoken.
func (s *tlsStanding) enforce(floor uint16) {
	written := *s.judged.written
	written.MinTLSVersion = max(written.MinTLSVersion, floor)
	written.Identity = s.identity
	s.written, s.trust = &written, &written
	if s.state == model.ModeActive {
		weakened := *s.judged.asked
		weakened.Until, weakened.MinTLSVersion = s.request.until, written.MinTLSVersion
		weakened.Identity = s.identity
		s.trust = &weakened
	}
}

// tell finds out which mode status must name: the one asked for as soon as it
// may come into force for any port, and any that an Envoy may still use.
func (p *tlsPolicies) tell(s *tlsStanding) {
	wanted := model.Standard
	if len(s.ports) > 0 && s.trust != nil && (s.state == model.ModeAnnounced || s.state == model.ModeActive) {
		wanted = s.request.mode
	}
	held, holders := heldModes(p.b.snap.Observed.Envoys[s.gateway], s.policy, s.live)
	s.told = broader(wanted, held)
	if s.told != wanted {
		s.holders = holders
	}
}

// heldModes is the mode that covers every insecure cluster of the policy that
// an expected Envoy may be using, Standard for none, and what may be used by
// whom. Of an Envoy that has not been heard since the start, or that has a
// cluster nobody knows any more, the last written status is what is known.
func heldModes(envoys []model.Envoy, policy gwapi.Key, live liveEntry) (model.Mode, []string) {
	told := model.Standard
	var holders []string
	for _, envoy := range envoys {
		var using []string
		for _, cluster := range envoy.Held {
			if cluster.Policy == policy && cluster.Mode.Insecure() {
				told = broader(told, cluster.Mode)
				using = append(using, fmt.Sprintf("%s (%s)", cluster.Name, cluster.Mode))
			}
		}
		if written := live.degraded(); written.Insecure() {
			switch {
			case !envoy.Connected:
				told = broader(told, written)
				using = append(using, "it has not been heard from")
			case slices.ContainsFunc(envoy.Held, func(c model.HeldCluster) bool { return c.Unknown }):
				told = broader(told, written)
				using = append(using, "it has clusters that were sent before this operator started")
			}
		}
		if len(using) > 0 {
			holders = append(holders, fmt.Sprintf("%s: %s", envoy.Name, strings.Join(using, ", ")))
		}
	}
	return told, holders
}

// broader is a mode that leaves out every check that either one does.
func broader(a, b model.Mode) model.Mode {
	switch {
	case !b.Insecure() || a == b:
		return a
	case !a.Insecure():
		return b
	default:
		return model.InsecureSkipVerification
	}
}

// decide says what the standing means for one port.
func (s *tlsStanding) decide(r reach) tlsDecision {
	options := s.judged.options
	decision := &model.Decision{
		Policy:    s.policy,
		Requested: options.mode,
		State:     s.state,
		Since:     options.since,
		Until:     options.until,
		Reason:    options.reason,
		Ignored:   options.ignored,
	}
	refused, routeReason := s.refusedOn(r)
	if refused.some() {
		if refused != s.refused {
			decision.State = model.ModeNone
		}
		return tlsDecision{
			Decision:    decision,
			FaultReason: string(refused.reason),
			Fault:       fmt.Sprintf("%s: %s", s.policy, refused.message),
			RouteReason: routeReason,
		}
	}
	decision.Trust = s.onPort(s.trust, r)
	decision.Written = s.onPort(s.written, r)
	return tlsDecision{Decision: decision, Trust: decision.Trust, Written: decision.Written}
}

// refusedOn says why a port answers 500, and with which reason the route's
// references are not resolved because of it, "" where they are. What the policy
// does not let a route speak is as much the route's fault as the policy's.
func (s *tlsStanding) refusedOn(r reach) (policyFault, gatewayv1.RouteConditionReason) {
	if len(s.unspoken) > 0 {
		if fault := s.judged.options.offer.protocolFault(portName(r), r.Protocol); fault != "" {
			const reason = gatewayv1.RouteReasonUnsupportedProtocol
			return policyFault{report.PolicyReason(reason), fault}, reason
		}
	}
	return s.refused, routeReason(r.Port)
}

// onPort adds what depends on the port: ALPN offers the one protocol that the
// cluster speaks, so that the backend cannot choose another. Where the client
// chooses what is spoken, nothing is offered but what the policy asks for.
func (s *tlsStanding) onPort(trust *model.Trust, r reach) *model.Trust {
	bound := *trust
	bound.ALPN = []string{string(r.Protocol)}
	if r.Protocol == model.TCP {
		bound.ALPN = s.judged.options.offer.alpn
	}
	return &bound
}
