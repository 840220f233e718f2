package assess

import (
	"slices"
	"strconv"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/verify"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// fix is the way out of a verdict, nil where there is none to name.
func (a *Assessor) fix(
	port collect.Port, path model.Path, verdict cliv1alpha1.Verdict, endpoints []cliv1alpha1.Endpoint,
) *cliv1alpha1.Fix {
	switch verdict.Result {
	case Refused:
		return a.fixRefused(port, path, verdict)
	case Plaintext:
		if !slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Certificate != nil }) {
			return nil
		}
		return &cliv1alpha1.Fix{
			Command: a.command("pin", port, "--write"),
			Message: "the endpoints do speak TLS: it shows their certificate and creates a policy that trusts it",
		}
	case Fails, Mixed:
		return a.fixFailing(port, endpoints)
	case Unreachable:
		if slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Result == NotProbed }) {
			return &cliv1alpha1.Fix{
				Command: a.command("verify", port),
				Message: "it asks the endpoints from here; where they answer, look at the NetworkPolicies of their namespace",
			}
		}
		return advised(endpoints)
	default:
		return nil
	}
}

// command is what to type: the verb about the port, with flags.
func (a *Assessor) command(verb string, port collect.Port, flags ...string) string {
	parts := []string{a.Program, verb, a.target(port)}
	if port.Service.Namespace != "default" || a.World.Live() {
		parts = append(parts, "-n", port.Service.Namespace)
	}
	if a.Source != "" {
		parts = append(parts, a.Source)
	}
	if a.World.Live() {
		// In a cluster a change is written once it is confirmed.
		flags = slices.DeleteFunc(flags, func(flag string) bool { return flag == "--write" })
	}
	return strings.Join(append(parts, flags...), " ")
}

// target is the TARGET that means the port: without a number where the Service
// has no other.
func (a *Assessor) target(port collect.Port) string {
	target := "svc/" + port.Service.Name
	if len(a.World.PortsOf(port.Service)) > 1 {
		target += ":" + strconv.Itoa(int(port.Spec.Port))
	}
	return target
}

func (a *Assessor) fixRefused(port collect.Port, path model.Path, verdict cliv1alpha1.Verdict) *cliv1alpha1.Fix {
	switch {
	case path.Policy == nil && verdict.Reason == string(gatewayv1.RouteReasonUnsupportedProtocol):
		return &cliv1alpha1.Fix{
			Command: a.command("pin", port, "--write"),
			Message: "it fetches the endpoints' certificate, shows it and creates the missing policy",
		}
	case path.Policy != nil && path.Policy.State == model.ModeRefused:
		return &cliv1alpha1.Fix{
			Command: a.command("skip-verify off", port, "--write"),
			Message: "or ask who may change the Gateway's GatewayParameters to allow the mode",
		}
	default:
		return nil
	}
}

// fixFailing goes by the reason that the first failing endpoint gives.
func (a *Assessor) fixFailing(port collect.Port, endpoints []cliv1alpha1.Endpoint) *cliv1alpha1.Fix {
	i := slices.IndexFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Result == Fails })
	if i < 0 || port.Policy == nil {
		return nil
	}
	failing := endpoints[i]
	pinned := len(words(option(port.Policy, "pins"))) > 0
	switch verify.Reason(failing.Reason) {
	case verify.UntrustedIssuer:
		message := "only if the key is the one you expect: nobody else vouches for it"
		if failing.Certificate != nil && !failing.Certificate.SelfSigned {
			message += "; --form ca trusts the issuer that is presented instead"
		}
		return &cliv1alpha1.Fix{
			Command: a.command("pin", port, "--write"),
			YAML:    a.pinPatch(port, endpoints),
			Message: message,
		}
	case verify.PinMismatch:
		return a.fixPin(port, endpoints)
	case verify.CertificateMismatch:
		if pinned || option(port.Policy, "trusted-certificates") == "" || failing.Certificate == nil {
			return &cliv1alpha1.Fix{Message: "the endpoint needs a certificate that Envoy can use"}
		}
		return &cliv1alpha1.Fix{
			Command: a.command("pin", port, "--form leaf", "--replace", "--write"),
			Message: "only if you expect a new certificate: nobody else vouches for it",
		}
	case verify.CertificateExpired:
		return &cliv1alpha1.Fix{
			Command: a.command("skip-verify on", port, "--only expiry", "--for 2h", "--reason TEXT", "--write"),
			Message: "renew the certificate; the command bridges the time until then, where the Gateway allows it",
		}
	case verify.HostnameMismatch:
		return fixName(port.Policy, failing)
	case verify.CertificateRevoked, verify.CRLExpired, verify.RevocationUnknown:
		return &cliv1alpha1.Fix{Message: fixRevocation(verify.Reason(failing.Reason))}
	default:
		return advised(endpoints)
	}
}

// fixPin is about a key that is not pinned.
func (a *Assessor) fixPin(port collect.Port, endpoints []cliv1alpha1.Endpoint) *cliv1alpha1.Fix {
	flags := []string{"--replace", "--write"}
	message := "only if you expect a new key: nobody else vouches for it"
	if slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Result == Passes }) {
		flags = flags[1:] // The pinned key is still served: another one is added to it.
		if idle := unserved(port.Policy, endpoints); len(idle) > 0 {
			message += "; it drops what no endpoint that answered serves, " + strings.Join(idle, " and ") +
				": keep a next key with --and-next FILE"
		}
	}
	return &cliv1alpha1.Fix{
		Command: a.command("pin", port, flags...),
		YAML:    a.pinPatch(port, endpoints),
		Message: message,
	}
}

// fixRevocation is what helps against a revocation, or against a list that
// cannot be asked: whatever else is trusted, Envoy refuses the certificate.
func fixRevocation(reason verify.Reason) string {
	const option = gwapi.Prefix + "crl"
	switch reason {
	case verify.CertificateRevoked:
		return "its CA has taken the certificate back, most likely because its key is not safe: give the endpoint a new " +
			"key and a new certificate"
	case verify.CRLExpired:
		return "publish a list of the CA that is valid now in what " + option + " names; until then Envoy accepts no " +
			"certificate of that CA"
	default:
		return "add a list of the CA that issued the certificate, signed with its key and allowed by its keyUsage, to what " +
			option + " names"
	}
}

// advised is the next step about the first endpoint that has one.
func advised(endpoints []cliv1alpha1.Endpoint) *cliv1alpha1.Fix {
	for _, endpoint := range endpoints {
		if endpoint.Advice != "" && endpoint.Result != Passes {
			return &cliv1alpha1.Fix{Message: endpoint.Advice}
		}
	}
	return nil
}

// fixName asks for the first DNS name of the certificate instead.
func fixName(policy *gatewayv1.BackendTLSPolicy, failing cliv1alpha1.Endpoint) *cliv1alpha1.Fix {
	const renew = "otherwise issue a certificate that carries the name which the policy asks for"
	if failing.Certificate == nil {
		return &cliv1alpha1.Fix{Message: renew}
	}
	for _, name := range failing.Certificate.SANs {
		host, found := strings.CutPrefix(name, "DNS:")
		if !found || strings.Contains(host, "*") {
			continue
		}
		return &cliv1alpha1.Fix{
			YAML: patch(policy, map[string]any{"validation": map[string]any{
				"subjectAltNames": []any{map[string]any{"type": "Hostname", "hostname": host}},
			}}),
			Message: renew,
		}
	}
	return &cliv1alpha1.Fix{Message: "the certificate carries no DNS name: issue one that does"}
}

// unserved are the pins of the policy that no endpoint is known to serve: those that
// are prepared, and those that are stale.
func unserved(policy *gatewayv1.BackendTLSPolicy, endpoints []cliv1alpha1.Endpoint) []string {
	var list []string
	for _, one := range edit.Listed(policy) {
		if !slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool {
			return e.Certificate != nil && (one.String() == e.Certificate.SPKISHA256 || one.String() == e.Certificate.CertSHA256)
		}) {
			list = append(list, one.String())
		}
	}
	return list
}

// pinPatch trusts exactly the keys that the endpoints serve now, as `pin` does.
func (a *Assessor) pinPatch(port collect.Port, endpoints []cliv1alpha1.Endpoint) string {
	var pins []string
	for _, endpoint := range endpoints {
		if endpoint.Certificate != nil && !slices.Contains(pins, endpoint.Certificate.SPKISHA256) {
			pins = append(pins, endpoint.Certificate.SPKISHA256)
		}
	}
	slices.Sort(pins)
	options := map[string]any{gwapi.Prefix + "pins": strings.Join(pins, " ")}
	known := port.Policy.Spec.Validation.WellKnownCACertificates
	if known == nil || string(*known) != gwapi.Prefix+"PinnedOnly" {
		options[gwapi.Prefix+"pins-only"] = "true"
	}
	return patch(port.Policy, map[string]any{"options": options})
}

// patch is the fields to change, as an object that names the policy.
func patch(policy *gatewayv1.BackendTLSPolicy, spec map[string]any) string {
	encoded, err := yaml.Marshal(map[string]any{
		"apiVersion": gatewayv1.GroupVersion.String(),
		"kind":       string(gwapi.KindBackendTLSPolicy),
		"metadata":   map[string]any{"name": policy.Name, "namespace": policy.Namespace},
		"spec":       spec,
	})
	if err != nil {
		// Maps of strings always encode.
		return ""
	}
	return string(encoded)
}
