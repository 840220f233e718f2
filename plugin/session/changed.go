package session

import (
	"fmt"

	"github.com/backendtls/backendtls/plugin/view"
)

// changed lists what the plan changes, and who else is concerned.
func (p *Plan) changed(shown *view.Change) error {
	var lines []view.Line
	title, rest := "CHANGES", fmt.Sprintf("to btlspolicy/%s in %s", p.policy.Name, p.medium.policyAt())
	if p.created {
		title, rest = "NEW", fmt.Sprintf("btlspolicy/%s in %s", p.policy.Name, p.medium.policyAt())
		target := string(p.policy.Spec.TargetRefs[0].Name)
		if section := p.policy.Spec.TargetRefs[0].SectionName; section != nil {
			target += " port " + string(*section)
		}
		lines = append(lines, view.Line{Sign: "+", Field: "target", Value: "svc/" + target},
			view.Line{Sign: "+", Field: "hostname", Value: string(p.policy.Spec.Validation.Hostname)})
		if wellKnown := p.policy.Spec.Validation.WellKnownCACertificates; wellKnown != nil {
			lines = append(lines, view.Line{Sign: "+", Field: "wellKnownCACertificates", Value: string(*wellKnown)})
		}
	}
	for _, difference := range p.edit.Differences(p.policy) {
		lines = append(lines, view.Line{
			Sign: string(difference.Sign), Field: difference.Field, Value: difference.Value,
		})
	}
	if p.configMap != nil {
		lines = append(lines, view.Line{
			Sign: "+", Field: "configmap/" + p.configMap.Name, Value: "in " + p.medium.configMapAt(),
		})
	}
	shown.Section(title, rest, lines)
	for _, unknown := range p.unknown {
		shown.Say("%s", unknown)
	}
	return p.medium.caution(p, shown)
}
