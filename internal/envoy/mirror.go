package envoy

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// million is the finest of the denominators that Envoy has.
const million = 1_000_000

// mirrors are the copies of what a route forwards. A backend that could not be
// written gets none: that must not harm the request itself, and a cluster that
// does not exist would only be looked for at every request.
func (t *translation) mirrors(rule *model.Rule) ([]*routev3.RouteAction_RequestMirrorPolicy, error) {
	var policies []*routev3.RouteAction_RequestMirrorPolicy
	for _, mirror := range rule.Mirrors {
		name := t.ruleCluster(rule, mirror.Backend, true)
		if name == MissingCluster {
			continue
		}
		fraction, err := mirrorFraction(mirror)
		if err != nil {
			return nil, err
		}
		policies = append(policies, &routev3.RouteAction_RequestMirrorPolicy{
			Cluster:         name,
			RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: fraction},
			// A copy is a copy: Envoy would append -shadow to its host.
			DisableShadowHostSuffixAppend: true,
		})
	}
	return policies, nil
}

// mirrorFraction is exact for percents, and to the millionth otherwise.
func mirrorFraction(mirror model.Mirror) (*typev3.FractionalPercent, error) {
	if mirror.Denominator == 0 || mirror.Numerator > mirror.Denominator {
		return nil, fmt.Errorf("mirror: %d of %d requests cannot be copied", mirror.Numerator, mirror.Denominator)
	}
	if mirror.Denominator == 100 {
		return &typev3.FractionalPercent{Numerator: mirror.Numerator, Denominator: typev3.FractionalPercent_HUNDRED}, nil
	}
	parts := uint64(mirror.Numerator) * million / uint64(mirror.Denominator)
	return &typev3.FractionalPercent{Numerator: uint32(parts), Denominator: typev3.FractionalPercent_MILLION}, nil
}
