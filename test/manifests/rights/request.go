package rights

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// maxLine bounds a line of the log. Events of level Metadata have a few KiB.
const maxLine = 4 << 20

// decision is the annotation that says what the roles said
// (k8s.io/apiserver/pkg/endpoints/filters, decisionAnnotationKey).
const decision = "authorization.k8s.io/decision"

// Request is something that was asked of the API server.
type Request struct {
	Group, Resource, Verb string
	// Namespace and Name are what was asked about; "" for all of them.
	Namespace, Name string
}

// String is the form used in messages.
func (r Request) String() string { return describe(r.Verb, r.Group, r.Resource, r.Namespace, r.Name) }

// Requests are what one user asked for, and how often.
type Requests struct {
	Allowed map[Request]int
	// Forbidden were answered 403 for want of a right.
	Forbidden map[Request]int
}

// Read reads an audit log, a JSON event a line, for the requests of a user such
// as system:serviceaccount:NAMESPACE:NAME. A last line without an end is still
// being written and is left out.
func Read(log io.Reader, user string) (Requests, error) {
	requests := Requests{Allowed: map[Request]int{}, Forbidden: map[Request]int{}}
	reader := bufio.NewReaderSize(log, 1<<16)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if err == io.EOF {
			return requests, nil
		}
		if err != nil {
			return requests, fmt.Errorf("audit log: line %d: %w", number, err)
		}
		if len(line) > maxLine {
			return requests, fmt.Errorf("audit log: line %d has more than %d bytes", number, maxLine)
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			return requests, fmt.Errorf("audit log: line %d: %w", number, err)
		}
		if event.User.Username == user {
			requests.add(&event)
		}
	}
}

// add counts an event. A watch has two, of which the first (ResponseStarted)
// may be the only one yet; a right counts as used either way.
func (r *Requests) add(event *auditv1.Event) {
	answered := event.Stage == auditv1.StageResponseComplete || event.Stage == auditv1.StageResponseStarted
	if !answered || event.ObjectRef == nil || event.ResponseStatus == nil {
		return
	}
	resource := event.ObjectRef.Resource
	if event.ObjectRef.Subresource != "" {
		resource += "/" + event.ObjectRef.Subresource
	}
	request := Request{
		Group: event.ObjectRef.APIGroup, Resource: resource, Verb: event.Verb,
		Namespace: event.ObjectRef.Namespace, Name: event.ObjectRef.Name,
	}
	switch code := event.ResponseStatus.Code; {
	// Admission answers 403 too, where a namespace is on its way out for example;
	// that comes after the right had been checked.
	case code == http.StatusForbidden && event.Annotations[decision] != "allow":
		r.Forbidden[request]++
	case code == http.StatusUnauthorized:
	case code == http.StatusCreated && request.Verb == "patch":
		r.Allowed[request]++
		request.Verb = "create"
		r.Allowed[request]++
	default:
		// Whatever else was answered came after the right had been checked.
		r.Allowed[request]++
	}
}
