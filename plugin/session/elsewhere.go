package session

import (
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/view"
)

// sayElsewhere says of a policy of standard fields what it comes to on the Gateways
// of others.
func (p *pinDraft) sayElsewhere(shown *view.Change) {
	var gateways, nameless []string
	for _, port := range p.ports {
		for _, path := range port.Paths {
			who := p.world.ControllerOf(path)
			if who == "" || who == gwapi.ControllerName {
				continue
			}
			known := assess.KnownAs(who)
			if one := gateway(path) + " (" + known.Name + ")"; !slices.Contains(gateways, one) {
				gateways = append(gateways, one)
			}
			if known.Nameless && !slices.Contains(nameless, known.Name) {
				nameless = append(nameless, known.Name)
			}
		}
	}
	if len(gateways) == 0 {
		return
	}
	what := "The policy has standard fields only, which other implementations read too"
	if left := ourOptions(p.plan.after); left != "" {
		what = "The CA is in standard fields, which other implementations read too; they ignore " + left
	}
	shown.Say("%s: %s. What they make of it is in its status, and `inspect` shows it.", what, strings.Join(gateways, ", "))
	validation := p.plan.after.Spec.Validation
	if len(nameless) > 0 && len(validation.SubjectAltNames) == 0 {
		shown.Say("%s compares no name of the certificate unless spec.validation.subjectAltNames are given: "+
			"add {type: Hostname, hostname: %s}, or any certificate of this CA passes there.",
			strings.Join(nameless, ", "), validation.Hostname)
	}
}

// ourOptions are the keys of ours that the policy still has, "" without any.
func ourOptions(policy *gatewayv1.BackendTLSPolicy) string {
	var keys []string
	for key := range policy.Spec.Options {
		if strings.HasPrefix(string(key), gwapi.Prefix) {
			keys = append(keys, string(key))
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}
