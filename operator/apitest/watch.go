package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// stream is a watch that runs.
type stream struct {
	kind *kind
	cut  chan struct{}
	once sync.Once
}

func (s *stream) end() { s.once.Do(func() { close(s.cut) }) }

// CutWatches ends the watches of the resources (plurals), of all without any.
// Clients come back by themselves.
func (s *Server) CutWatches(resources ...string) {
	s.state.Lock()
	defer s.state.Unlock()
	for stream := range s.streams {
		if len(resources) == 0 || slices.Contains(resources, stream.kind.resource) {
			stream.end()
		}
	}
}

// Watches is the number of watches of the resource (plural) that run.
func (s *Server) Watches(resource string) int {
	s.state.Lock()
	defer s.state.Unlock()
	n := 0
	for stream := range s.streams {
		if stream.kind.resource == resource {
			n++
		}
	}
	return n
}

// Expire makes every version so far too old to watch from: a client that comes
// back with one is answered 410 Gone. Watches that run go on.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	s.oldest = s.version
}

// watch streams events until the client goes or the watch is cut.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, p *place, request Request) {
	sees, err := selects(p, request)
	if err != nil {
		fail(w, err)
		return
	}
	running := &stream{kind: p.kind, cut: make(chan struct{})}
	s.state.Lock()
	s.streams[running] = struct{}{}
	s.state.Unlock()
	defer func() {
		s.state.Lock()
		defer s.state.Unlock()
		delete(s.streams, running)
	}()

	out := &frames{w: w, control: http.NewResponseController(w), metadata: request.Metadata}
	version, err := s.begin(out, r, p.kind, sees)
	if err != nil {
		out.send(watch.Error, statusOf(err))
		return
	}
	for {
		events, changed := s.since(p.kind, version)
		for _, e := range events {
			version = e.version
			if kind, object := e.seenBy(sees); kind != "" {
				out.object(kind, object)
			}
		}
		if out.err != nil || !s.served(p.kind) {
			return
		}
		select {
		case <-changed:
		case <-running.cut:
			return
		case <-s.done:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// begin sends what comes before the events, and says from which version these go on.
func (s *Server) begin(out *frames, r *http.Request, k *kind, sees func(*unstructured.Unstructured) bool,
) (int64, error) {
	query := r.URL.Query()
	out.open()
	initial := query.Get("sendInitialEvents") == "true"
	if from := query.Get("resourceVersion"); from != "" && from != "0" && !initial {
		version, err := strconv.ParseInt(from, 10, 64)
		if err != nil {
			return 0, apierrors.NewBadRequest("resourceVersion: " + err.Error())
		}
		s.mu.Lock()
		oldest := s.oldest
		s.mu.Unlock()
		if version < oldest {
			return 0, apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%d)", version, oldest))
		}
		return version, nil
	}
	objects, version := s.list(k)
	for _, object := range objects {
		if sees(object) {
			out.object(watch.Added, object)
		}
	}
	if initial {
		end := &unstructured.Unstructured{Object: map[string]any{}}
		end.SetGroupVersionKind(k.gvk())
		end.SetResourceVersion(strconv.FormatInt(version, 10))
		end.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		out.object(watch.Bookmark, end)
	}
	return version, nil
}

// frames writes the events of a watch. After an error it writes nothing more.
type frames struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	metadata bool
	err      error
}

func (f *frames) open() {
	f.w.Header().Set("Content-Type", "application/json")
	f.w.WriteHeader(http.StatusOK)
	f.err = f.control.Flush()
}

func (f *frames) object(kind watch.EventType, object *unstructured.Unstructured) {
	f.send(kind, shape(object, f.metadata))
}

func (f *frames) send(kind watch.EventType, object any) {
	if f.err != nil {
		return
	}
	if f.err = json.NewEncoder(f.w).Encode(map[string]any{"type": kind, "object": object}); f.err == nil {
		f.err = f.control.Flush()
	}
}
