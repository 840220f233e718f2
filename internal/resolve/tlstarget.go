package resolve

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// tlsTarget is what a targetRef claims: a port of a Service by name, or every
// port of it ("").
type tlsTarget struct {
	service gwapi.Key
	section string
}

// String is the form of targets in messages.
func (t tlsTarget) String() string {
	if t.section == "" {
		return t.service.String()
	}
	return fmt.Sprintf("%s port %s", t.service, t.section)
}

func compareTargets(a, b tlsTarget) int {
	return cmp.Or(gwapi.CompareKeys(a.service, b.service), cmp.Compare(a.section, b.section))
}

// tlsClaim is one policy's claim to a target.
type tlsClaim struct {
	policy gwapi.Key
	target tlsTarget
}

// tlsTargets tells which policy decides which port.
type tlsTargets struct {
	// claims are those on each Service, in order of precedence.
	claims map[gwapi.Key][]tlsClaim
	// owner is the policy that has a target, of those that claim just that.
	owner map[tlsTarget]gwapi.Key
	// dangling are targets whose section names no port of the Service.
	dangling map[tlsTarget]bool
}

// newTLSTargets indexes the policies by what they target. Precedence is the
// API's: the older policy, then namespace and name; validity plays no part,
// because a policy that fails closed must not yield to a laxer one.
func newTLSTargets(snap *snapshot.Snapshot) tlsTargets {
	targets := tlsTargets{
		claims:   map[gwapi.Key][]tlsClaim{},
		owner:    map[tlsTarget]gwapi.Key{},
		dangling: map[tlsTarget]bool{},
	}
	policies := snap.TLSPolicies.Sorted()
	slices.SortStableFunc(policies, func(a, b *gatewayv1.BackendTLSPolicy) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	for _, policy := range policies {
		key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
		for _, target := range targetsOf(policy) {
			targets.claims[target.service] = append(targets.claims[target.service], tlsClaim{key, target})
			if _, taken := targets.owner[target]; !taken {
				targets.owner[target] = key
			}
			targets.dangling[target] = !hasSection(snap, target)
		}
	}
	return targets
}

// targetsOf lists the Services and ports that a policy targets, sorted, each
// once.
func targetsOf(policy *gatewayv1.BackendTLSPolicy) []tlsTarget {
	var targets []tlsTarget
	for _, ref := range policy.Spec.TargetRefs {
		if !meansService(ref) || ref.Name == "" {
			continue
		}
		target := tlsTarget{service: gwapi.KeyOf(gwapi.KindService, policy.Namespace, string(ref.Name))}
		if ref.SectionName != nil {
			target.section = string(*ref.SectionName)
		}
		targets = append(targets, target)
	}
	slices.SortFunc(targets, compareTargets)
	return slices.Compact(targets)
}

// unknownTarget says why the policy may target more than it names, "" if it does
// not: a reference of which no name could be made out has none, and a name that
// no Service can have, such as Api, is a slip for another.
func unknownTarget(policy *gatewayv1.BackendTLSPolicy) string {
	if len(policy.Spec.TargetRefs) == 0 {
		return "spec.targetRefs: is empty; name a Service"
	}
	for i, ref := range policy.Spec.TargetRefs {
		switch fault := nameFault(ref); {
		case ref.Name == "":
			return fmt.Sprintf("spec.targetRefs[%d].name: is empty; name a Service", i)
		case fault != "" && meansService(ref):
			return fmt.Sprintf("spec.targetRefs[%d].name: %s", i, fault)
		}
	}
	return ""
}

// nameFault says why no Service can have the name; "" if one can. The rule is
// that of RFC 1123 labels, the more lenient one of those that Kubernetes has had.
func nameFault(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) string {
	if len(validation.IsDNS1123Label(string(ref.Name))) == 0 {
		return ""
	}
	return fmt.Sprintf("%q cannot be the name of a Service; write one of lowercase letters, digits and hyphens, "+
		"at most %d characters", ref.Name, validation.DNS1123LabelMaxLength)
}

// meansService says whether a reference is to a Service, or can only be meant
// for one: a slip in its kind or group, which targetFaults names, must not leave
// that Service in plaintext.
func meansService(ref gatewayv1.LocalPolicyTargetReferenceWithSectionName) bool {
	group, kind := strings.ToLower(string(ref.Group)), strings.ToLower(string(ref.Kind))
	return slices.Contains([]string{"", "core", "v1"}, group) &&
		slices.Contains([]string{"service", "services", "svc"}, kind)
}

// hasSection says whether the target exists as far as anybody can tell: of a
// Service that is not there, nothing is known about ports.
func hasSection(snap *snapshot.Snapshot, target tlsTarget) bool {
	service, found := snap.Services.Get(target.service.NamespacedName())
	if !found || target.section == "" {
		return true
	}
	return slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool {
		return port.Name == target.section
	})
}

// decider is the policy that decides a port: a claim to the port by name, then
// one to the whole Service, then one whose section names no port at all: what
// it was meant for is unknown, so no port may be left in plaintext by it.
func (t tlsTargets) decider(service gwapi.Key, port corev1.ServicePort) (policy gwapi.Key, found bool) {
	if port.Name != "" {
		if policy, found = t.owner[tlsTarget{service, port.Name}]; found {
			return policy, true
		}
	}
	if policy, found = t.owner[tlsTarget{service: service}]; found {
		return policy, true
	}
	for _, claim := range t.claims[service] {
		if t.dangling[claim.target] {
			return claim.policy, true
		}
	}
	return gwapi.Key{}, false
}

// concerned lists the policies that have something to say in their status
// about a Gateway that reaches the port: the one that decides it, those that
// lost it to another claim to just the same, and those that miss the Service's
// ports. A whole-Service policy on a port that another one names is not among
// them: nothing of it is wrong, and nothing of it is in force there.
func (t tlsTargets) concerned(service gwapi.Key, port corev1.ServicePort) []gwapi.Key {
	policies := map[gwapi.Key]bool{}
	if decider, found := t.decider(service, port); found {
		policies[decider] = true
	}
	for _, claim := range t.claims[service] {
		section := claim.target.section
		lost := (section == "" || section == port.Name) && t.owner[claim.target] != claim.policy
		if lost || t.dangling[claim.target] {
			policies[claim.policy] = true
		}
	}
	return slices.SortedFunc(maps.Keys(policies), gwapi.CompareKeys)
}

// conflict says which targets a policy lost to whom and which it keeps; "" if
// it lost none. A target whose section names no port is lost to nobody: the
// policy keeps it, and fails closed there.
func (t tlsTargets) conflict(policy *gatewayv1.BackendTLSPolicy) (message string, keepsAny bool) {
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
	var lost, kept []string
	for _, target := range targetsOf(policy) {
		switch owner := t.owner[target]; {
		case t.dangling[target]:
			keepsAny = true
		case owner == key:
			kept = append(kept, target.String())
		default:
			lost = append(lost, fmt.Sprintf("%s is decided by %s, which is older or comes first by name", target, owner))
		}
	}
	keepsAny = keepsAny || len(kept) > 0
	if len(lost) == 0 {
		return "", keepsAny
	}
	message = report.List(lost)
	if len(kept) == 0 {
		return message + "; this policy keeps no target", keepsAny
	}
	return message + "; this policy stays in force for " + strings.Join(kept, ", "), keepsAny
}

// overridden lists the ports of whole-Service targets that a policy leaves to
// policies that name the port.
func (t tlsTargets) overridden(policy *gatewayv1.BackendTLSPolicy) []string {
	key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, policy.Namespace, policy.Name)
	var ports []string
	for _, target := range targetsOf(policy) {
		if target.section != "" || t.owner[target] != key {
			continue
		}
		for _, claim := range t.claims[target.service] {
			owner := t.owner[claim.target]
			if claim.target.section == "" || t.dangling[claim.target] || claim.policy != owner || owner == key {
				continue
			}
			ports = append(ports, fmt.Sprintf("%s is decided by %s, which names the port", claim.target, owner))
		}
	}
	slices.Sort(ports)
	return ports
}

// targetFaults says which targetRefs mean nothing: kinds that have no ports,
// names that no Service can have, and sections that name no port.
func targetFaults(snap *snapshot.Snapshot, policy *gatewayv1.BackendTLSPolicy) []string {
	var faults []string
	for i, ref := range policy.Spec.TargetRefs {
		field := fmt.Sprintf("spec.targetRefs[%d]", i)
		if !gwapi.KindService.Is(&ref.Group, &ref.Kind, "", "") {
			faults = append(faults, fmt.Sprintf("%s: %s cannot be a target, only a Service (group \"\") can",
				field, gwapi.GroupKind(&ref.Group, &ref.Kind, "", "")))
			continue
		}
		if fault := nameFault(ref); fault != "" {
			faults = append(faults, field+".name: "+fault)
			continue
		}
		if ref.SectionName == nil {
			continue
		}
		name := types.NamespacedName{Namespace: policy.Namespace, Name: string(ref.Name)}
		service, found := snap.Services.Get(name)
		target := tlsTarget{gwapi.KeyOf(gwapi.KindService, name.Namespace, name.Name), string(*ref.SectionName)}
		if found && !hasSection(snap, target) {
			faults = append(faults, fmt.Sprintf("%s.sectionName: %s has no port named %q, its ports are %s",
				field, target.service, target.section, listPortNames(service.Spec.Ports)))
		}
	}
	return faults
}

func listPortNames(ports []corev1.ServicePort) string {
	if len(ports) == 0 {
		return "none"
	}
	names := make([]string, len(ports))
	for i, port := range ports {
		names[i] = fmt.Sprintf("%d (unnamed)", port.Port)
		if port.Name != "" {
			names[i] = port.Name
		}
	}
	return strings.Join(names, ", ")
}
