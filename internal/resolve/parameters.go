package resolve

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// unlimited is the maxDuration that makes mode-since and mode-until optional.
const unlimited = "Unlimited"

// defaultMaxDuration is what an absent maxDuration means.
const defaultMaxDuration = 24 * time.Hour

// tlsFloors are the values of minTLSVersion. TLS 1.2 is what every connection
// has anyway, so it is no floor.
var tlsFloors = map[string]uint16{"1.2": 0, "1.3": tls.VersionTLS13}

// parameterResult is what GatewayParameters say about insecure modes on one
// Gateway: the bounds of the class and those of the Gateway itself.
type parameterResult struct {
	// Fault says why some GatewayParameters cannot be used: the Gateway is
	// Accepted=False/InvalidParameters and no mode is allowed on it.
	Fault string
	// Unseen says why nobody knows what some GatewayParameters say.
	Unseen string
	// unread says that of some GatewayParameters nothing is known. They allow no
	// mode, and their other bounds count as the defaults do.
	unread bool
	// floor is the highest minTLSVersion, 0 for none above TLS 1.2.
	floor uint16
	// where names the references, for people who look for them.
	where string
	// bounds are the parameters that have backendTLS. What is asked for must
	// keep within each of them, which is the stricter of every field: the
	// intersection of the modes, the smaller duration, a reason if either wants
	// one, a namespace that both select.
	bounds []bound
	// fleet is what they say about the Envoys.
	fleet model.Fleet
	// sessionLimit is as in model.LimitSession.
	sessionLimit time.Duration
	// probe is what they say about live checks.
	probe probeSetting
}

// bound is backendTLS of one GatewayParameters.
type bound struct {
	object gwapi.Key
	modes  []model.Mode
	// limited says whether limit holds; else any duration does, and none at all.
	limited bool
	limit   time.Duration
	// wording is the duration as it is written.
	wording      string
	needsReason  bool
	selector     labels.Selector
	selectorText string
}

// parameters combines the GatewayParameters of the Gateway and of its class.
func (b *builder) parameters(gateway *gatewayv1.Gateway) parameterResult {
	key := gwapi.KeyOf(gwapi.KindGateway, gateway.Namespace, gateway.Name)
	classKey := gwapi.KeyOf(gwapi.KindGatewayClass, "", string(gateway.Spec.GatewayClassName))
	result := parameterResult{where: fmt.Sprintf("%s spec.parametersRef or %s spec.infrastructure.parametersRef",
		classKey, key)}
	if class, found := b.snap.GatewayClasses.Get(classKey.NamespacedName()); found {
		b.addClassParameters(&result, key, class)
	}
	if gateway.Spec.Infrastructure != nil && gateway.Spec.Infrastructure.ParametersRef != nil {
		ref := gateway.Spec.Infrastructure.ParametersRef
		field := key.String() + " spec.infrastructure.parametersRef"
		own := b.addParameters(&result, key, field, ref.Group, ref.Kind, gateway.Namespace, ref.Name)
		if own != nil {
			result.addEnvoy(gwapi.KeyOf(gwapi.KindGatewayParameters, own.Namespace, own.Name), own.Spec.Envoy, false)
		}
	}
	result.boundSessions()
	return result
}

// classParameters reads the GatewayParameters of a class on behalf of one of
// its Gateways (the zero Key for none): its Fault is the class's too.
func (b *builder) classParameters(gateway gwapi.Key, class *gatewayv1.GatewayClass) parameterResult {
	result := parameterResult{
		where: gwapi.KeyOf(gwapi.KindGatewayClass, "", class.Name).String() + " spec.parametersRef",
	}
	b.addClassParameters(&result, gateway, class)
	return result
}

func (b *builder) addClassParameters(result *parameterResult, gateway gwapi.Key, class *gatewayv1.GatewayClass) {
	ref := class.Spec.ParametersRef
	if ref == nil {
		return
	}
	field := gwapi.KeyOf(gwapi.KindGatewayClass, "", class.Name).String() + " spec.parametersRef"
	if ref.Namespace == nil || *ref.Namespace == "" {
		result.unread = true
		result.addFault(fmt.Sprintf("%s has no namespace, but a GatewayParameters has one", field))
		return
	}
	own := b.addParameters(result, gateway, field, ref.Group, ref.Kind, string(*ref.Namespace), ref.Name)
	if own != nil {
		result.addEnvoy(gwapi.KeyOf(gwapi.KindGatewayParameters, own.Namespace, own.Name), own.Spec.Envoy, true)
	}
}

// addParameters adds the bound of the object that a field refers to, which it
// returns; nil where it cannot be used.
func (b *builder) addParameters(
	result *parameterResult, gateway gwapi.Key, field string,
	group gatewayv1.Group, kind gatewayv1.Kind, namespace, name string,
) (own *v1alpha1.GatewayParameters) {
	defer func() { result.unread = result.unread || own == nil }()
	if !gwapi.KindGatewayParameters.Is(&group, &kind, "", "") {
		result.addFault(fmt.Sprintf("%s refers to a %s, only %s/%s can be used", field,
			gwapi.GroupKind(&group, &kind, "", ""), gwapi.KindGatewayParameters.Group(), gwapi.KindGatewayParameters))
		return nil
	}
	object, why, sentence := find(b, gateway, gwapi.KindGatewayParameters, b.snap.Parameters,
		types.NamespacedName{Namespace: namespace, Name: name})
	switch why {
	case present:
	case unseen:
		result.Unseen = field + ": " + sentence
		return nil
	default:
		result.addFault(field + ": " + sentence)
		return nil
	}
	key := gwapi.KeyOf(gwapi.KindGatewayParameters, namespace, name)
	result.probe.add(key, object.Spec.Probe)
	if object.Spec.BackendTLS != nil &&
		!slices.ContainsFunc(result.bounds, func(b bound) bool { return b.object == key }) {
		result.addBound(key, object.Spec.BackendTLS)
	}
	return object
}

func (r *parameterResult) addFault(fault string) {
	r.Fault = strings.TrimPrefix(r.Fault+"; "+fault, "; ")
}

// addBound understands one backendTLS. A value that makes no sense is a fault,
// and with a fault no mode is allowed, whatever the rest says.
func (r *parameterResult) addBound(object gwapi.Key, spec *v1alpha1.BackendTLS) {
	limit := bound{
		object:      object,
		limited:     true,
		limit:       defaultMaxDuration,
		wording:     defaultMaxDuration.String() + ", the default",
		needsReason: spec.RequireReason == nil || *spec.RequireReason,
	}
	for _, allowed := range spec.AllowedModes {
		mode := model.Mode(allowed)
		if !mode.Insecure() || !slices.Contains(model.Modes, mode) {
			r.addFault(fmt.Sprintf("%s spec.backendTLS.allowedModes: %q is not an insecure mode; those are %s",
				object, allowed, joinModes(model.Modes[1:])))
			continue
		}
		limit.modes = append(limit.modes, mode)
	}
	if spec.MaxDuration != nil {
		limit.wording = *spec.MaxDuration
		duration, err := time.ParseDuration(*spec.MaxDuration)
		limit.limited, limit.limit = *spec.MaxDuration != unlimited, duration
		if limit.limited && (err != nil || duration < 0) {
			r.addFault(fmt.Sprintf("%s spec.backendTLS.maxDuration: %q is neither a duration such as 24h or 90m nor %q",
				object, *spec.MaxDuration, unlimited))
		}
	}
	if spec.Namespaces != nil {
		selector, err := metav1.LabelSelectorAsSelector(spec.Namespaces)
		if err != nil {
			r.addFault(fmt.Sprintf("%s spec.backendTLS.namespaces: %v", object, err))
			selector = labels.Nothing()
		}
		limit.selector, limit.selectorText = selector, metav1.FormatLabelSelector(spec.Namespaces)
	}
	if spec.MinTLSVersion != nil {
		floor, known := tlsFloors[*spec.MinTLSVersion]
		if !known {
			// What was meant is unknown, but hardly less than the most there is.
			floor = tls.VersionTLS13
			r.addFault(fmt.Sprintf("%s spec.backendTLS.minTLSVersion: %q is neither \"1.2\" nor \"1.3\"",
				object, *spec.MinTLSVersion))
		}
		r.floor = max(r.floor, floor)
	}
	r.bounds = append(r.bounds, limit)
}

// modeRequest is an insecure mode that a policy asks for.
type modeRequest struct {
	mode         model.Mode
	since, until time.Time
	reason       string
	// namespace is the policy's, nil labels where they could not be read.
	namespace       string
	namespaceLabels labels.Set
}

// refuse says why the mode is not allowed on the Gateway, naming every rule
// that forbids it, its object, and who may change it; "" if it is allowed.
// The answer is by spec alone, so that waiting turns no refused mode on.
func (r parameterResult) refuse(gateway gwapi.Key, request modeRequest) string {
	switch {
	case r.Fault != "":
		return fmt.Sprintf("%s allows no insecure mode while its GatewayParameters cannot be used: %s", gateway, r.Fault)
	case r.Unseen != "":
		return fmt.Sprintf("whether %s allows %s is unknown: %s", gateway, request.mode, r.Unseen)
	case len(r.bounds) == 0:
		return fmt.Sprintf("%s does not allow %s: no GatewayParameters with spec.backendTLS is referred to by %s, "+
			"and without one no insecure mode is allowed; who may write GatewayParameters and that reference may allow it",
			gateway, request.mode, r.where)
	}
	var rules []string
	for _, bound := range r.bounds {
		rules = append(rules, bound.refuse(request)...)
	}
	if len(rules) == 0 {
		return ""
	}
	return fmt.Sprintf("%s does not allow %s: %s; who may write that GatewayParameters may change the rule",
		gateway, request.mode, strings.Join(rules, "; "))
}

// refuse lists the rules of one object that the request breaks.
func (b bound) refuse(request modeRequest) []string {
	var rules []string
	field := func(name, format string, values ...any) {
		rules = append(rules, fmt.Sprintf("%s spec.backendTLS.%s %s", b.object, name, fmt.Sprintf(format, values...)))
	}
	if !slices.Contains(b.modes, request.mode) {
		allowed := "is empty, which allows none"
		if len(b.modes) > 0 {
			allowed = "has only " + joinModes(b.modes)
		}
		field("allowedModes", "%s", allowed)
	}
	if b.selector != nil && !(request.namespaceLabels != nil && b.selector.Matches(request.namespaceLabels)) {
		field("namespaces", "(%s) does not select the policy's namespace %s", b.selectorText, request.namespace)
	}
	if b.limited {
		since, until := request.since, request.until
		switch {
		case since.IsZero() || until.IsZero():
			field("maxDuration", "(%s) requires %s%s and %s%s", b.wording,
				gwapi.Prefix, optionSince, gwapi.Prefix, optionUntil)
		case until.Sub(since) > b.limit:
			field("maxDuration", "is %s, but %s - %s is %s", b.wording, optionUntil, optionSince, until.Sub(since))
		}
	}
	if b.needsReason && request.reason == "" {
		field("requireReason", "requires %s%s", gwapi.Prefix, optionReason)
	}
	return rules
}

// selects says whether any bound looks at the policy's namespace.
func (r parameterResult) selects() bool {
	return slices.ContainsFunc(r.bounds, func(b bound) bool { return b.selector != nil })
}
