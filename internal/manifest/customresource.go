package manifest

import (
	"context"
	"maps"
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
//
// Before all that come lists with too many items: some checks compare each item
// with all others, and some rules are evaluated for each.
func (s *served) accept(object map[string]any) field.ErrorList {
	if errs := tooMany(object, s.structural, nil); len(errs) > 0 {
		return errs
	}
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

// tooMany finds the lists and maps that are longer than the schema allows.
func tooMany(value any, structural *schema.Structural, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	limits := structural.ValueValidation
	switch value := value.(type) {
	case []any:
		if limits != nil && limits.MaxItems != nil && int64(len(value)) > *limits.MaxItems {
			return field.ErrorList{field.TooMany(path, len(value), int(*limits.MaxItems))}
		}
		for i := range value {
			if structural.Items != nil {
				errs = append(errs, tooMany(value[i], structural.Items, path.Index(i))...)
			}
		}
	case map[string]any:
		if limits != nil && limits.MaxProperties != nil && int64(len(value)) > *limits.MaxProperties {
			return field.ErrorList{field.TooMany(path, len(value), int(*limits.MaxProperties))}
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			if property, found := structural.Properties[name]; found {
				errs = append(errs, tooMany(value[name], &property, path.Child(name))...)
			} else if additional := structural.AdditionalProperties; additional != nil && additional.Structural != nil {
				errs = append(errs, tooMany(value[name], additional.Structural, path.Key(name))...)
			}
		}
	}
	return errs
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
