package apiservertest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Server is an API server in memory.
type Server struct {
	// URL is where it listens.
	URL string
	// Now, if not nil, is its clock, which the Date of its answers shows.
	Now func() time.Time
	// Admit, if not nil, is asked about each create and patch. It may change the
	// object; its error is the answer.
	Admit func(*unstructured.Unstructured) error
	// Allow, if not nil, says whether a request is authorized.
	Allow func(verb, resource, namespace, name string) bool
	// Unserved are resources whose CRDs are not installed, as RESOURCE or
	// RESOURCE/VERSION.
	Unserved []string
	// Older are other versions that resources are served in too, as
	// RESOURCE/VERSION.
	Older []string
	// Page, if not 0, is the most that one answer to a list holds, whatever the
	// limit; Expire has the first continuation end in 410 Gone.
	Page   int
	Expire bool
	// Forward, if not nil, answers pods/portforward.
	Forward http.Handler
	// Before, if not nil, runs before a request is looked at.
	Before func(Request)
	// Undated leaves the Date away.
	Undated bool
	// Warning, if not empty, comes with every answer.
	Warning string

	lock     sync.Mutex
	version  int
	objects  map[key]*unstructured.Unstructured
	requests []Request
	// history are the changes that watches can still be told, oldest first.
	history []change
	// forgotten is the version up to which they cannot.
	forgotten int
	// news is closed and replaced when there is something to tell watches.
	news chan struct{}
	// era is counted up when all watches end.
	era int
	// http is nil while it is away.
	http *httptest.Server
	// away says that every watch ends at once.
	away bool
}

// Request is one that was made.
type Request struct {
	Verb, Resource, Namespace, Name string
	ContentType                     string
	DryRun, Force                   bool
	FieldManager                    string
	Body                            string
}

// Writes says whether the request would store something.
func (r Request) Writes() bool { return (r.Verb == "create" || r.Verb == "patch") && !r.DryRun }

// key is an object by group, resource, namespace and name.
type key struct{ group, resource, namespace, name string }

// New starts a server with the objects, at the generations that they have, which
// ends with the test.
func New(t testing.TB, objects ...*unstructured.Unstructured) *Server {
	t.Helper()
	s := &Server{objects: map[key]*unstructured.Unstructured{}, news: make(chan struct{})}
	for _, object := range objects {
		if err := s.Put(object, "kubectl-client-side-apply"); err != nil {
			t.Fatal(err)
		}
		s.age(object)
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.Leave)
	s.URL = s.http.URL
	return s
}

// age gives a stored object the generation that it came with, which YAML decodes
// as a float.
func (s *Server) age(object *unstructured.Unstructured) {
	served, _ := byKind(object.GroupVersionKind())
	live := s.objects[key{served.group, served.resource, object.GetNamespace(), object.GetName()}]
	generation, _, _ := unstructured.NestedFieldNoCopy(object.Object, "metadata", "generation")
	switch typed := generation.(type) {
	case float64:
		live.SetGeneration(int64(typed))
	case int64:
		live.SetGeneration(typed)
	}
}

// Put stores an object as the manager would by an update, or creates it. What
// the object says of its version is not looked at.
func (s *Server) Put(object *unstructured.Unstructured, manager string) error {
	served, known := byKind(object.GroupVersionKind())
	if !known {
		return fmt.Errorf("%s is not served", object.GroupVersionKind())
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	at := key{served.group, served.resource, object.GetNamespace(), object.GetName()}
	_, err := s.store(served, at, object.DeepCopy(), manager, false)
	return err
}

// Apply is server-side apply by another manager, with force.
func (s *Server) Apply(object *unstructured.Unstructured, manager string) error {
	served, known := byKind(object.GroupVersionKind())
	if !known {
		return fmt.Errorf("%s is not served", object.GroupVersionKind())
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	at := key{served.group, served.resource, object.GetNamespace(), object.GetName()}
	after, err := s.applied(served, at, object.DeepCopy(), manager, true)
	if err != nil {
		return err
	}
	_, err = s.commit(at, after, false)
	return err
}

// SetStatus writes status alone.
func (s *Server) SetStatus(resource, namespace, name string, status map[string]any) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at, live := range s.objects {
		if at.resource != resource || at.namespace != namespace || at.name != name {
			continue
		}
		after := live.DeepCopy()
		after.Object["status"] = status
		s.stored(at, after)
	}
}

// Get is an object as it is stored; nil if there is none.
func (s *Server) Get(resource, namespace, name string) *unstructured.Unstructured {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at, live := range s.objects {
		if at.resource == resource && at.namespace == namespace && at.name == name {
			return live.DeepCopy()
		}
	}
	return nil
}

// Delete removes an object.
func (s *Server) Delete(resource, namespace, name string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	for at := range s.objects {
		if at.resource == resource && at.namespace == namespace && at.name == name {
			s.deleted(at)
		}
	}
}

// Requests are those that were made so far, in order.
func (s *Server) Requests() []Request {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.requests)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.head(w)
	if r.URL.Path == reviews {
		s.review(w, r)
		return
	}
	if s.Forward != nil && strings.HasSuffix(r.URL.Path, "/portforward") {
		s.forward(w, r)
		return
	}
	request, at, served, err := read(r)
	if err == nil && !s.serves(request.Resource, strings.Split(r.URL.Path, "/")) {
		err = errors.New("not installed")
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	if s.Before != nil {
		s.Before(request)
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.requests = append(s.requests, request)
	if s.Allow != nil && !s.Allow(request.Verb, request.Resource, request.Namespace, request.Name) {
		fail(w, forbidden(request, at))
		return
	}
	if request.Verb == "watch" {
		s.watch(w, r, at)
		return
	}
	object, err := s.answer(r, request, at, served)
	if err != nil {
		fail(w, err)
		return
	}
	if request.Verb == "create" {
		w.WriteHeader(http.StatusCreated)
	}
	_ = json.NewEncoder(w).Encode(object)
}

// head is what every answer begins with.
func (s *Server) head(w http.ResponseWriter) {
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if s.Undated {
		w.Header()["Date"] = nil
	}
	w.Header().Set("Content-Type", "application/json")
	if s.Warning != "" {
		w.Header().Set("Warning", fmt.Sprintf("299 - %q", s.Warning))
	}
}

func (s *Server) answer(r *http.Request, request Request, at key, served resource) (any, error) {
	switch request.Verb {
	case "get":
		live, found := s.objects[at]
		if !found {
			return nil, notFound(at)
		}
		return live.Object, nil
	case "list":
		return s.list(r, at, served)
	case "create", "patch":
		return s.write(request, at, served)
	default:
		return nil, apierrors.NewMethodNotSupported(schema.GroupResource{Resource: at.resource}, request.Verb)
	}
}

// read takes a request apart.
func read(r *http.Request) (Request, key, resource, error) {
	elements := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	var at key
	switch {
	case len(elements) >= 3 && elements[0] == "api":
		elements = elements[2:]
	case len(elements) >= 4 && elements[0] == "apis":
		at.group, elements = elements[1], elements[3:]
	default:
		return Request{}, at, resource{}, fmt.Errorf("%s is not served", r.URL.Path)
	}
	if len(elements) >= 3 && elements[0] == "namespaces" {
		at.namespace, elements = elements[1], elements[2:]
	}
	at.resource = elements[0]
	if len(elements) > 1 {
		at.name = elements[1]
	}
	served, known := byResource(at.group, at.resource)
	if !known || len(elements) > 2 {
		return Request{}, at, served, fmt.Errorf("%s is not served", r.URL.Path)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return Request{}, at, served, err
	}
	verb := map[string]string{http.MethodPost: "create", http.MethodPatch: "patch", http.MethodGet: "get"}[r.Method]
	query := r.URL.Query()
	name := at.name
	if verb == "get" && at.name == "" {
		verb = "list"
		if query.Get("watch") == "true" {
			verb = "watch"
		}
		name, _ = strings.CutPrefix(query.Get("fieldSelector"), metav1.ObjectNameField+"=")
		if strings.Contains(name, "=") {
			name = ""
		}
	}
	return Request{
		Verb: verb, Resource: at.resource, Namespace: at.namespace, Name: name, Body: string(body),
		ContentType: r.Header.Get("Content-Type"), DryRun: query.Get("dryRun") == metav1.DryRunAll,
		Force: query.Get("force") == "true", FieldManager: query.Get("fieldManager"),
	}, at, served, nil
}

func fail(w http.ResponseWriter, err error) {
	status := apierrors.NewInternalError(err).Status()
	if known, ok := err.(apierrors.APIStatus); ok {
		status = known.Status()
	}
	status.APIVersion, status.Kind = "v1", "Status"
	w.WriteHeader(int(status.Code))
	_ = json.NewEncoder(w).Encode(status)
}

func notFound(at key) error {
	return apierrors.NewNotFound(schema.GroupResource{Group: at.group, Resource: at.resource}, at.name)
}

func forbidden(request Request, at key) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: at.group, Resource: at.resource}, at.name, fmt.Errorf(
		"%s cannot %s resource %q in API group %q in the namespace %q",
		`User "jane"`, request.Verb, at.resource, at.group, at.namespace))
}
