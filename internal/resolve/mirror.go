package resolve

import (
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
)

// mirror understands RequestMirror. Its backend is one like any other, policies
// included, except that it gets copies, and that nothing depends on them: where
// it cannot be used, ResolvedRefs says so and no copy is made.
func (r *filterReader) mirror(field string, spec *gatewayv1.HTTPRequestMirrorFilter) {
	copies := &model.Mirror{Numerator: 100, Denominator: 100}
	switch {
	case spec.Percent != nil && spec.Fraction != nil:
		r.fault("%s: percent and fraction are both given; remove one of them", field)
	case spec.Percent != nil:
		copies.Numerator = r.count(field+".percent", *spec.Percent)
	case spec.Fraction != nil:
		copies.Numerator = r.count(field+".fraction.numerator", spec.Fraction.Numerator)
		if spec.Fraction.Denominator != nil {
			copies.Denominator = r.count(field+".fraction.denominator", *spec.Fraction.Denominator)
		}
	}
	if copies.Denominator == 0 || copies.Numerator > copies.Denominator {
		r.fault("%s: %d of %d requests cannot be mirrored", field, copies.Numerator, copies.Denominator)
	}
	ref := r.b.backendRef(&r.route.routeView, &gatewayv1.BackendRef{BackendObjectReference: spec.BackendRef},
		r.field+field+".backendRef")
	ref.mirror, ref.weight = copies, 0
	r.mirrors = append(r.mirrors, ref)
}

// count is a number of requests, which is not negative.
func (r *filterReader) count(field string, number int32) uint32 {
	if number < 0 {
		r.fault("%s: %d is negative", field, number)
		return 0
	}
	return uint32(number)
}
