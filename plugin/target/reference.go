package target

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Reference is what was named, before anybody looked whether it exists.
type Reference struct {
	Kind gwapi.Kind
	Name string
	// Port is the number or the name of a Service's port, "" where none is given.
	Port string
}

// String is the reference as it is typed.
func (r Reference) String() string {
	s := Short(r.Kind) + "/" + r.Name
	if r.Port != "" {
		s += ":" + r.Port
	}
	return s
}

// TargetForms and ObjectForms say what ParseTarget and ParseObject take.
const (
	TargetForms = "svc/NAME[:PORT] or btlspolicy/NAME"
	ObjectForms = "gateway/NAME, httproute/NAME, grpcroute/NAME, tlsroute/NAME, svc/NAME[:PORT] or btlspolicy/NAME"
)

// Short is the name of a kind as people type it.
func Short(kind gwapi.Kind) string {
	switch kind {
	case gwapi.KindService:
		return "svc"
	case gwapi.KindBackendTLSPolicy:
		return "btlspolicy"
	default:
		return strings.ToLower(string(kind))
	}
}

// ParseTarget reads a TARGET.
func ParseTarget(arg string) (Reference, error) {
	return parse(arg, TargetForms, gwapi.KindService, gwapi.KindBackendTLSPolicy)
}

// ParseObject reads what inspect takes.
func ParseObject(arg string) (Reference, error) {
	return parse(arg, ObjectForms, ObjectKinds...)
}

// ObjectKinds are the kinds that inspect takes, in the order of its help.
var ObjectKinds = []gwapi.Kind{
	gwapi.KindService, gwapi.KindBackendTLSPolicy, gwapi.KindGateway,
	gwapi.KindHTTPRoute, gwapi.KindGRPCRoute, gwapi.KindTLSRoute,
}

func parse(arg, forms string, allowed ...gwapi.Kind) (Reference, error) {
	kind, name, found := strings.Cut(arg, "/")
	if !found {
		return Reference{}, fmt.Errorf("%q is no target: want %s", arg, forms)
	}
	for _, candidate := range allowed {
		if !Means(candidate, kind) {
			continue
		}
		reference := Reference{Kind: candidate, Name: name}
		if candidate == gwapi.KindService {
			var colon bool
			reference.Name, reference.Port, colon = strings.Cut(name, ":")
			if colon && reference.Port == "" {
				return Reference{}, fmt.Errorf("%q names no port after the colon: want %s", arg, forms)
			}
		}
		if reference.Name == "" || strings.ContainsAny(reference.Name, "/: ") {
			return Reference{}, fmt.Errorf("%q is no name of a %s: want %s", arg, candidate, forms)
		}
		return reference, nil
	}
	return Reference{}, fmt.Errorf("%q: no such kind of target as %q: want %s", arg, kind, forms)
}

// aliases are the plural and the short names of the kinds, as kubectl has them
// from the CRDs.
func aliases(kind gwapi.Kind) []string {
	switch kind {
	case gwapi.KindService:
		return []string{"svc", "service", "services"}
	case gwapi.KindBackendTLSPolicy:
		return []string{"btlspolicy", "btlspolicies", "backendtlspolicy", "backendtlspolicies"}
	case gwapi.KindGateway:
		return []string{"gateway", "gateways", "gtw"}
	case gwapi.KindHTTPRoute:
		return []string{"httproute", "httproutes"}
	case gwapi.KindGRPCRoute:
		return []string{"grpcroute", "grpcroutes"}
	case gwapi.KindTLSRoute:
		return []string{"tlsroute", "tlsroutes"}
	default:
		return nil
	}
}

// Means says whether the word names the kind, with or without the API group
// that `kubectl -o name` writes.
func Means(kind gwapi.Kind, word string) bool {
	word = strings.ToLower(word)
	if kind != gwapi.KindService {
		word = strings.TrimSuffix(word, ".gateway.networking.k8s.io")
	}
	return slices.Contains(aliases(kind), word)
}
