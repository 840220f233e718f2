package apitest

import (
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// answerList answers a GET of a collection, page by page where a limit is given.
func (s *Server) answerList(p *place, request Request, r *http.Request) (any, error) {
	sees, err := selects(p, request)
	if err != nil {
		return nil, err
	}
	query := r.URL.Query()
	limit, _ := strconv.Atoi(query.Get("limit"))
	skip, _ := strconv.Atoi(query.Get("continue"))
	objects, version := s.list(p.kind)
	metadata := map[string]any{"resourceVersion": strconv.FormatInt(version, 10)}
	items, seen := []any{}, 0
	for _, object := range objects {
		if !sees(object) {
			continue
		}
		seen++
		if seen <= skip {
			continue
		}
		if limit > 0 && len(items) == limit {
			metadata["continue"] = strconv.Itoa(skip + limit)
			break
		}
		items = append(items, shape(object, request.Metadata))
	}
	list := map[string]any{
		"kind": p.kind.name + "List", "apiVersion": p.kind.gvk().GroupVersion().String(),
		"metadata": metadata, "items": items,
	}
	if request.Metadata {
		list["kind"], list["apiVersion"] = "PartialObjectMetadataList", "meta.k8s.io/v1"
	}
	return list, nil
}

// selects says which objects a list or watch sees.
func selects(p *place, request Request) (func(*unstructured.Unstructured) bool, error) {
	byLabel, err := labels.Parse(request.LabelSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	byField, err := fields.ParseSelector(request.FieldSelector)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	for _, term := range byField.Requirements() {
		if term.Field != "metadata.name" && term.Field != "metadata.namespace" {
			return nil, apierrors.NewBadRequest("field label not supported: " + term.Field)
		}
	}
	return func(object *unstructured.Unstructured) bool {
		return (p.namespace == "" || p.namespace == object.GetNamespace()) &&
			byLabel.Matches(labels.Set(object.GetLabels())) &&
			byField.Matches(fields.Set{
				"metadata.name": object.GetName(), "metadata.namespace": object.GetNamespace(),
			})
	}, nil
}
