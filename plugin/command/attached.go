package command

import (
	"fmt"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/plugin/collect"
)

// attached refuses a change that nobody would obey: options of ours bite only
// on Gateways of ours. Portable names the command that works everywhere.
func attached(port collect.Port, allowUnattached bool, portable string) error {
	service := fmt.Sprintf("svc/%s", port.Service.Name)
	if len(port.Paths) == 0 {
		if allowUnattached {
			return nil
		}
		return fmt.Errorf("%s: no route of a Gateway leads to port %d, so nothing would obey the policy; "+
			"--allow-unattached writes it all the same", service, port.Spec.Port)
	}
	var unknown []string
	for _, path := range port.Paths {
		switch {
		case path.Ours:
		case path.Controller == "":
			unknown = append(unknown, "gateway/"+path.Gateway.Name)
		default:
			return fmt.Errorf("%s is reached through gateway/%s (%s), which ignores backendtls.dev options. "+
				"Portable: %s", service, path.Gateway.Name, path.Controller, portable)
		}
	}
	if len(unknown) > 0 && !allowUnattached {
		slices.Sort(unknown)
		return fmt.Errorf("%s is reached through %s, whose GatewayClass is not in the files, so another controller's "+
			"that ignores backendtls.dev options. Portable: %s. --allow-unattached writes the options all the same",
			service, strings.Join(slices.Compact(unknown), ", "), portable)
	}
	return nil
}

// single refuses a policy that has more than one target, and shows how to
// split it: a pin of one Service would otherwise govern the others.
func single(policy *gatewayv1.BackendTLSPolicy, allTargets bool) error {
	if len(policy.Spec.TargetRefs) <= 1 || allTargets {
		return nil
	}
	var split strings.Builder
	for _, ref := range policy.Spec.TargetRefs {
		one := policy.DeepCopy()
		one.Name = policy.Name + "-" + string(ref.Name)
		if ref.SectionName != nil {
			one.Name += "-" + string(*ref.SectionName)
		}
		one.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{ref}
		content, err := document(one)
		if err != nil {
			return err
		}
		split.WriteString("---\n")
		split.Write(content)
	}
	return fmt.Errorf("btlspolicy/%s has %d targets, and the change would govern all of them. "+
		"Split it into one policy for each (below), or add --all-targets\n%s",
		policy.Name, len(policy.Spec.TargetRefs), split.String())
}

// appProtocolPatch is the one-line patch that keeps a Service's port from ever
// being spoken to in plaintext; "" where appProtocol is set.
func appProtocolPatch(port collect.Port) string {
	if set := port.Spec.AppProtocol; set != nil && *set != "" {
		return ""
	}
	return fmt.Sprintf(`kubectl patch -n %s svc/%s -p '{"spec":{"ports":[{"port":%d,"appProtocol":"https"}]}}'`,
		port.Service.Namespace, port.Service.Name, port.Spec.Port)
}
