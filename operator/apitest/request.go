package apitest

import (
	"context"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Request is what a client asked for, in the words of RBAC.
type Request struct {
	// Verb is get, list, watch, create, update, patch or delete.
	Verb string
	// Group is "" for the core group; Resource is the plural, in lower case.
	Group, Resource string
	// Subresource is "" or status.
	Subresource     string
	Namespace, Name string
	// Metadata: the client wants nothing but metadata.
	Metadata bool
	// FieldSelector and LabelSelector of a list or watch.
	FieldSelector, LabelSelector string
	// PatchType, FieldManager and Force of a patch.
	PatchType    types.PatchType
	FieldManager string
	Force        bool
	Body         []byte
	// Refused: the answer was an error.
	Refused bool
}

// Write says whether the request is one that changes objects.
func (r Request) Write() bool {
	switch r.Verb {
	case "create", "update", "patch", "delete":
		return true
	default:
		return false
	}
}

// Hook sees a request before the server answers it. An error is the answer
// (an *errors.StatusError of apimachinery as it is, any other one as 500); a
// Hook that waits delays the answer, and should give up when ctx ends.
type Hook func(ctx context.Context, r Request) error

// place is where a path leads.
type place struct {
	kind                         *kind
	namespace, name, subresource string
}

// locate reads a path below /api or /apis; nil where nothing is served.
func locate(path string) *place {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	var group, version string
	switch {
	case len(parts) >= 3 && parts[0] == "api":
		version, parts = parts[1], parts[2:]
	case len(parts) >= 4 && parts[0] == "apis":
		group, version, parts = parts[1], parts[2], parts[3:]
	default:
		return nil
	}
	p := &place{}
	if parts[0] == "namespaces" && len(parts) >= 3 && parts[2] != "status" {
		p.namespace, parts = parts[1], parts[2:]
	}
	p.kind = kindOfResource(group, version, parts[0])
	if p.kind == nil || len(parts) > 3 {
		return nil
	}
	if len(parts) > 1 {
		p.name = parts[1]
	}
	if len(parts) > 2 {
		p.subresource = parts[2]
	}
	if p.subresource != "" && (p.subresource != "status" || !p.kind.status) {
		return nil
	}
	return p
}

// verbs are RBAC's for an object.
var verbs = map[string]string{
	http.MethodGet: "get", http.MethodPut: "update", http.MethodPatch: "patch",
	http.MethodDelete: "delete", http.MethodPost: "create",
}

func (p *place) request(r *http.Request, body []byte) Request {
	query := r.URL.Query()
	request := Request{
		Verb: verbs[r.Method], Group: p.kind.group, Resource: p.kind.resource, Subresource: p.subresource,
		Namespace: p.namespace, Name: p.name, Body: body,
		Metadata:      strings.Contains(r.Header.Get("Accept"), "as=PartialObjectMetadata"),
		FieldSelector: query.Get("fieldSelector"), LabelSelector: query.Get("labelSelector"),
		FieldManager: query.Get("fieldManager"), Force: query.Get("force") == "true",
	}
	if request.Verb == "get" && p.name == "" {
		request.Verb = "list"
		if watch := query.Get("watch"); watch == "true" || watch == "1" {
			request.Verb = "watch"
		}
	}
	if request.Verb == "patch" {
		request.PatchType = types.PatchType(strings.TrimSpace(strings.Split(r.Header.Get("Content-Type"), ";")[0]))
	}
	return request
}
