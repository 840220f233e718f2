package apiservertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
)

// change is one that watches are told.
type change struct {
	version int
	kind    watch.EventType
	at      key
	object  *unstructured.Unstructured
}

// within says whether the object is in a list of the resource, in its namespace
// or in all.
func (k key) within(list key) bool {
	return k.group == list.group && k.resource == list.resource && (list.namespace == "" || list.namespace == k.namespace)
}

// selects applies the field selector of a request: on names, and on what Events
// are about.
func selects(r *http.Request, object *unstructured.Unstructured) bool {
	selector, err := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil {
		return false
	}
	about, _, _ := unstructured.NestedString(object.Object, "involvedObject", "kind")
	return selector.Matches(fields.Set{metav1.ObjectNameField: object.GetName(), "involvedObject.kind": about})
}

// stored gives an object the next version and stores it. The lock is held.
func (s *Server) stored(at key, after *unstructured.Unstructured) {
	s.version++
	after.SetResourceVersion(fmt.Sprint(s.version))
	kind := watch.Added
	if _, exists := s.objects[at]; exists {
		kind = watch.Modified
	}
	s.objects[at] = after
	s.tell(change{version: s.version, kind: kind, at: at, object: after.DeepCopy()})
}

// deleted removes an object. The lock is held.
func (s *Server) deleted(at key) {
	s.version++
	last := s.objects[at].DeepCopy()
	last.SetResourceVersion(fmt.Sprint(s.version))
	delete(s.objects, at)
	s.tell(change{version: s.version, kind: watch.Deleted, at: at, object: last})
}

func (s *Server) tell(news change) {
	s.history = append(s.history, news)
	s.wake()
}

// wake has every watch look at the history again. The lock is held.
func (s *Server) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

// CutWatches ends every watch without a word, as a load balancer does.
func (s *Server) CutWatches() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.era++
	s.wake()
}

// Forget has watches from any version until now answered with 410 Gone, and ends
// those that are under way.
func (s *Server) Forget() {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.version++ // A list that is made from now on has a version of its own.
	s.history, s.forgotten = nil, s.version
	s.era++
	s.wake()
}

// Leave has connections end and be refused, until Return.
func (s *Server) Leave() {
	s.lock.Lock()
	leaving := s.http
	// A watch on a connection that comes while the others are closed would keep
	// Close waiting for ever.
	s.http, s.away = nil, true
	s.era++
	s.wake()
	s.lock.Unlock()
	if leaving != nil {
		leaving.CloseClientConnections()
		leaving.Close()
	}
}

// Return has it answer again, where it did before.
func (s *Server) Return() error {
	address := strings.TrimPrefix(s.URL, "http://")
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	again := httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	_ = again.Listener.Close()
	again.Listener = listener
	s.lock.Lock()
	defer s.lock.Unlock()
	again.Start()
	s.http, s.away = again, false
	return nil
}

// watch tells changes from the version of the request on, until it ends. The
// lock is held at the beginning and at the end, and not while it waits.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, at key) {
	from, err := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	if err != nil {
		fail(w, apierrors.NewBadRequest("resourceVersion: "+err.Error()))
		return
	}
	if from < s.forgotten {
		fail(w, apierrors.NewResourceExpired("too old resource version"))
		return
	}
	control := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()
	encoder := json.NewEncoder(w)
	for era := s.era; era == s.era && !s.away && r.Context().Err() == nil; {
		for _, news := range slices.Clone(s.history) {
			if news.version <= from {
				continue
			}
			from = news.version
			if !news.at.within(at) || !selects(r, news.object) {
				continue
			}
			if encoder.Encode(map[string]any{"type": news.kind, "object": news.object.Object}) != nil {
				return
			}
		}
		_ = control.Flush()
		wake := s.news
		s.lock.Unlock()
		select {
		case <-wake:
		case <-r.Context().Done():
		}
		s.lock.Lock()
	}
}
