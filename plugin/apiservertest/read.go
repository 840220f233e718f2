package apiservertest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// serves says whether a resource is installed in the version of a path.
func (s *Server) serves(resource string, elements []string) bool {
	version := "v1"
	if len(elements) > 3 && elements[1] == "apis" {
		version = elements[3]
	}
	if slices.Contains(s.Unserved, resource) || slices.Contains(s.Unserved, resource+"/"+version) {
		return false
	}
	for _, known := range resources {
		if known.resource == resource && known.version == version {
			return true
		}
	}
	return slices.Contains(s.Older, resource+"/"+version)
}

// list answers in pages, in the order of names.
func (s *Server) list(r *http.Request, at key, served resource) (any, error) {
	var found []*unstructured.Unstructured
	for each, live := range s.objects {
		if each.within(at) && selects(r, live) {
			found = append(found, live)
		}
	}
	slices.SortFunc(found, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	})
	query := r.URL.Query()
	from := 0
	if token := query.Get("continue"); token != "" {
		if s.Expire {
			s.Expire = false
			return nil, apierrors.NewResourceExpired("the continuation is too old")
		}
		begin, err := strconv.Atoi(token)
		if err != nil {
			return nil, apierrors.NewBadRequest("continue: " + err.Error())
		}
		from = begin
	}
	metadata := map[string]any{"resourceVersion": fmt.Sprint(s.version)}
	found = found[min(from, len(found)):]
	if limit := s.page(query.Get("limit")); limit > 0 && len(found) > limit {
		found, metadata["continue"] = found[:limit], strconv.Itoa(from+limit)
	}
	items := []any{}
	for _, live := range found {
		items = append(items, live.DeepCopy().Object)
	}
	version := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[1]
	if served.group != "" {
		version = served.group + "/" + strings.Split(strings.Trim(r.URL.Path, "/"), "/")[2]
	}
	return map[string]any{
		"apiVersion": version, "kind": served.kind + "List", "metadata": metadata, "items": items,
	}, nil
}

// page is how many items an answer holds, 0 for all.
func (s *Server) page(limit string) int {
	asked, err := strconv.Atoi(limit)
	if err != nil || asked == 0 {
		return 0
	}
	if s.Page > 0 {
		return min(s.Page, asked)
	}
	return asked
}

// forward lets a port of a pod be forwarded, if that is authorized: a websocket
// is a get, SPDY a create.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	elements := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(elements) != 7 {
		fail(w, errors.New("no pod"))
		return
	}
	request := Request{Verb: "get", Resource: "pods/portforward", Namespace: elements[3], Name: elements[5]}
	if r.Method == http.MethodPost {
		request.Verb = "create"
	}
	s.lock.Lock()
	s.requests = append(s.requests, request)
	allowed := s.Allow == nil || s.Allow(request.Verb, request.Resource, request.Namespace, request.Name)
	s.lock.Unlock()
	if !allowed {
		fail(w, forbidden(request, key{resource: "pods", namespace: request.Namespace, name: request.Name}))
		return
	}
	w.Header().Del("Content-Type")
	s.Forward.ServeHTTP(w, r)
}
