package manifest

import (
	"context"
	"slices"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// What the rules of one object may cost, as in an API server
// (k8s.io/apiserver/pkg/apis/cel: PerCallLimit, RuntimeCELCostBudget).
const (
	ruleBudget  = 1_000_000
	rulesBudget = 10_000_000
)

// accept does to a custom resource what an API server does at its creation, in
// the same order (apiextensions-apiserver: schemaCoercingDecoder, unstructured
// defaulter, customResourceStrategy.Validate): nulls and defaults, unknown
// fields, schema, list types, CEL rules. The object is changed: defaults are
// added, and unknown fields removed. Rules about a transition do not apply.
func (s *served) accept(object map[string]any) field.ErrorList {
	defaulting.PruneNonNullableNullsWithoutDefaults(object, s.structural)
	defaulting.Default(object, s.structural)
	unknown := pruning.PruneWithOptions(object, s.structural, true,
		schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var errs field.ErrorList
	for _, path := range unknown {
		errs = append(errs, unknownField(path))
	}
	errs = append(errs, validation.ValidateCustomResource(nil, object, s.validator)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if s.rules == nil || blocksRules(errs) {
		return errs
	}
	// The context would only end the evaluation early, which the budget does.
	broken, _ := s.rules.Validate(context.Background(), nil, s.structural, object, nil, rulesBudget)
	return append(errs, broken...)
}

// blocksRules says whether CEL rules could not be evaluated safely, as
// hasBlockingErr of the API server does: they rely on types and limits.
func blocksRules(errs field.ErrorList) bool {
	blocking := []field.ErrorType{
		field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong,
		field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid,
	}
	return slices.ContainsFunc(errs, func(err *field.Error) bool { return slices.Contains(blocking, err.Type) })
}

// unknownDetail marks the errors that are about fields which do not exist.
const unknownDetail = "unknown field"

func unknownField(path string) *field.Error {
	return &field.Error{Type: field.ErrorTypeForbidden, Field: path, Detail: unknownDetail}
}
