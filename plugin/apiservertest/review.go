package apiservertest

import (
	"encoding/json"
	"io"
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
)

// reviews is the path of the questions about one's own rights.
const reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

// review answers what Allow would say. Those who make no request are asked about
// by their names alone.
func (s *Server) review(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	// Clients prefer protobuf for the kinds that every API server has.
	object, _, err := scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	review, ok := object.(*authorizationv1.SelfSubjectAccessReview)
	if err != nil || !ok || review.Spec.ResourceAttributes == nil {
		fail(w, apierrors.NewBadRequest("no question"))
		return
	}
	about := review.Spec.ResourceAttributes
	request := Request{Verb: "create", Resource: "selfsubjectaccessreviews", Namespace: about.Namespace}
	if s.Before != nil {
		s.Before(request)
	}
	s.lock.Lock()
	review.Status.Allowed = s.Allow == nil || s.Allow(about.Verb, about.Resource, about.Namespace, about.Name)
	s.requests = append(s.requests, request)
	s.lock.Unlock()
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}
