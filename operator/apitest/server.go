package apitest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Server is an API server in memory. Its methods may be called at any time.
type Server struct {
	t    testing.TB
	http *httptest.Server
	*store
	done   chan struct{}
	scheme *runtime.Scheme

	// answering is held for reading while a request has its effect and is noted,
	// so that whoever sees an effect finds the request among Requests.
	answering sync.RWMutex

	state    sync.Mutex
	hooks    []Hook
	requests []Request
	away     bool
	// sentAway counts the requests that came meanwhile, by resource.
	sentAway map[string]int
	// streams end the watches that run, by the kind that each watches.
	streams map[*stream]struct{}
}

// New starts a server that ends with the test. Every kind that it knows is
// installed.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{
		t: t, store: newStore(), done: make(chan struct{}), scheme: newScheme(t),
		streams: map[*stream]struct{}{}, sentAway: map[string]int{},
	}
	for _, k := range kinds {
		if k.custom() {
			s.Install(k.resource, BundleVersion)
		}
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	// A connection for each request: net/http of Go 1.27.0 loses the end of an
	// answer on a connection that it takes up again, and waits for it for ever. A
	// real API server speaks HTTP/2, which is not concerned.
	s.http.Config.SetKeepAlivesEnabled(false)
	t.Cleanup(func() {
		close(s.done)
		s.CutWatches()
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// Hook adds a hook; hooks run in the order in which they were added until one
// returns an error. The function that is returned takes it out again.
func (s *Server) Hook(hook Hook) (remove func()) {
	s.state.Lock()
	defer s.state.Unlock()
	at := len(s.hooks)
	s.hooks = append(s.hooks, hook)
	return func() {
		s.state.Lock()
		defer s.state.Unlock()
		s.hooks[at] = nil
	}
}

// Requests are all that arrived since the last Forget, watches when they began.
func (s *Server) Requests() []Request {
	s.answering.Lock()
	defer s.answering.Unlock()
	s.state.Lock()
	defer s.state.Unlock()
	return append([]Request(nil), s.requests...)
}

// Writes are the accepted requests that change objects, since the last Forget.
func (s *Server) Writes() []Request {
	var writes []Request
	for _, r := range s.Requests() {
		if r.Write() && !r.Refused {
			writes = append(writes, r)
		}
	}
	return writes
}

// Forget empties Requests and Writes.
func (s *Server) Forget() {
	s.answering.Lock()
	defer s.answering.Unlock()
	s.state.Lock()
	defer s.state.Unlock()
	s.requests = nil
}

// SetAway makes the server unreachable, or reachable again: requests find
// their connection closed, and watches end.
func (s *Server) SetAway(away bool) {
	s.state.Lock()
	s.away = away
	s.state.Unlock()
	if away {
		s.CutWatches()
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if s.sendsAway(r) {
		if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = connection.Close()
		}
		return
	}
	if s.discover(w, r) {
		return
	}
	p := locate(r.URL.Path)
	if p == nil || !s.served(p.kind) {
		fail(w, apierrors.NewGenericServerResponse(http.StatusNotFound, strings.ToLower(r.Method),
			schema.GroupResource{}, "", "the server could not find the requested resource", 0, true))
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		fail(w, err)
		return
	}
	request := p.request(r, body)
	if err := s.ask(r.Context(), request); err != nil {
		s.note(request, true)
		fail(w, err)
		return
	}
	if request.Verb == "watch" {
		s.note(request, false)
		s.watch(w, r, p, request)
		return
	}
	answer, err := s.answerNoted(p, request, r)
	if err != nil {
		fail(w, err)
		return
	}
	status := http.StatusOK
	if request.Verb == "create" {
		status = http.StatusCreated
	}
	write(w, status, answer)
}

// SentAway is how many requests for objects of a resource found the server away.
func (s *Server) SentAway(resource string) int {
	s.state.Lock()
	defer s.state.Unlock()
	return s.sentAway[resource]
}

// sendsAway says whether the server is away, and counts who finds it so.
func (s *Server) sendsAway(r *http.Request) bool {
	s.state.Lock()
	defer s.state.Unlock()
	if p := locate(r.URL.Path); s.away && p != nil {
		s.sentAway[p.kind.resource]++
	}
	return s.away
}

func (s *Server) ask(ctx context.Context, r Request) error {
	s.state.Lock()
	hooks := append([]Hook(nil), s.hooks...)
	s.state.Unlock()
	for _, hook := range hooks {
		if hook == nil {
			continue
		}
		if err := hook(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) note(r Request, refused bool) {
	r.Refused = refused
	s.state.Lock()
	defer s.state.Unlock()
	s.requests = append(s.requests, r)
}

func (s *Server) answerNoted(p *place, request Request, r *http.Request) (any, error) {
	s.answering.RLock()
	defer s.answering.RUnlock()
	answer, err := s.answer(p, request, r)
	s.note(request, err != nil)
	return answer, err
}

// answer is what a request other than a watch gets.
func (s *Server) answer(p *place, request Request, r *http.Request) (any, error) {
	var object *unstructured.Unstructured
	var err error
	name := types.NamespacedName{Namespace: p.namespace, Name: p.name}
	switch request.Verb {
	case "list":
		return s.answerList(p, request, r)
	case "get":
		object, err = s.get(p.kind, name)
	case "create":
		object, err = s.create(p.kind, p.namespace, request.Body)
	case "update":
		object, err = s.update(p.kind, name, p.subresource, request.Body)
	case "patch":
		object, err = s.patch(p.kind, request)
	case "delete":
		object, err = s.delete(p.kind, name, request.Body)
	default:
		return nil, apierrors.NewMethodNotSupported(groupResource(p.kind), r.Method)
	}
	if err != nil {
		return nil, err
	}
	return shape(object, request.Metadata), nil
}

// shape is an object as the client wants it.
func shape(object *unstructured.Unstructured, metadata bool) map[string]any {
	if !metadata {
		return object.Object
	}
	return map[string]any{
		"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.Object["metadata"],
	}
}

func write(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// fail answers with an error as the API server writes it.
func fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	write(w, int(status.Code), status)
}

func statusOf(err error) metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(fmt.Errorf("%w", err))
	}
	status := known.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	return status
}
