package kubelettest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// tunneled is the websocket subprotocol that carries SPDY (KEP-4006).
const tunneled = "SPDY/3.1+" + portforward.PortForwardProtocolV1Name

// Kubelet serves .../namespaces/NAMESPACE/pods/NAME/portforward.
type Kubelet struct {
	// Dial connects to a port inside a pod. Its error is what the kubelet says.
	Dial func(ctx context.Context, pod types.NamespacedName, port uint16) (net.Conn, error)
	// NoWebsockets refuses that upgrade, as API servers older than 1.31 do.
	NoWebsockets bool

	lock  sync.Mutex
	count map[types.NamespacedName]int
	most  int
	open  int
	// requests are under way; idle is closed, if somebody waits, when none is left.
	// A WaitGroup would not do: a request may come when somebody waits already.
	requests int
	idle     chan struct{}
}

// Connections counts the upgraded connections that were made to each pod.
func (k *Kubelet) Connections(pod types.NamespacedName) int {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.count[pod]
}

// Most is how many upgraded connections there were at once.
func (k *Kubelet) Most() int {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.most
}

// Open is how many there are now.
func (k *Kubelet) Open() int {
	k.lock.Lock()
	defer k.lock.Unlock()
	return k.open
}

// Wait returns when no connection is left.
func (k *Kubelet) Wait() {
	k.lock.Lock()
	if k.requests == 0 {
		k.lock.Unlock()
		return
	}
	if k.idle == nil {
		k.idle = make(chan struct{})
	}
	idle := k.idle
	k.lock.Unlock()
	<-idle
}

func (k *Kubelet) begin() {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.requests++
}

func (k *Kubelet) end() {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.requests--
	if k.requests == 0 && k.idle != nil {
		close(k.idle)
		k.idle = nil
	}
}

// ServeHTTP upgrades a request.
func (k *Kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	elements := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(elements) != 7 || elements[6] != "portforward" {
		http.NotFound(w, r)
		return
	}
	pod := types.NamespacedName{Namespace: elements[3], Name: elements[5]}
	k.begin()
	defer k.end()
	if websocket.IsWebSocketUpgrade(r) {
		k.websocket(w, r, pod)
		return
	}
	k.spdy(w, r, pod)
}

func (k *Kubelet) websocket(w http.ResponseWriter, r *http.Request, pod types.NamespacedName) {
	if k.NoWebsockets {
		http.Error(w, "no websockets here", http.StatusBadRequest)
		return
	}
	upgrader := websocket.Upgrader{Subprotocols: []string{tunneled}}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // The upgrader has answered.
	}
	session := k.session(pod)
	tunnel := quietConn{portforward.NewTunnelingConnection("server", conn)}
	upgraded, err := spdy.NewServerConnection(tunnel, session.accept)
	if err != nil {
		_ = conn.Close()
		return
	}
	session.serve(upgraded)
}

func (k *Kubelet) spdy(w http.ResponseWriter, r *http.Request, pod types.NamespacedName) {
	if _, err := httpstream.Handshake(r, w, []string{portforward.PortForwardProtocolV1Name}); err != nil {
		return // Handshake has answered.
	}
	session := k.session(pod)
	upgraded := spdy.NewResponseUpgrader().UpgradeResponse(quietWriter{w}, r, session.accept)
	if upgraded == nil {
		return
	}
	session.serve(upgraded)
}

// session is one upgraded connection.
type session struct {
	kubelet *Kubelet
	pod     types.NamespacedName
	// ctx ends with the connection.
	ctx    context.Context //nolint:containedctx // The stream handler of httpstream takes none.
	cancel context.CancelFunc

	lock sync.Mutex
	// halves are the streams whose other half has not come, by request.
	halves map[string]httpstream.Stream
}

func (k *Kubelet) session(pod types.NamespacedName) *session {
	s := &session{kubelet: k, pod: pod, halves: map[string]httpstream.Stream{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// serve returns when the connection has ended.
func (s *session) serve(conn httpstream.Connection) {
	k := s.kubelet
	k.lock.Lock()
	if k.count == nil {
		k.count = map[types.NamespacedName]int{}
	}
	k.count[s.pod]++
	k.open++
	k.most = max(k.most, k.open)
	k.lock.Unlock()
	<-conn.CloseChan()
	s.cancel()
	_ = conn.Close()
	k.lock.Lock()
	k.open--
	k.lock.Unlock()
}

// accept pairs a stream with its other half.
func (s *session) accept(came httpstream.Stream, replySent <-chan struct{}) error {
	request := came.Headers().Get(corev1.PortForwardRequestIDHeader)
	s.lock.Lock()
	defer s.lock.Unlock()
	other, paired := s.halves[request]
	if !paired {
		s.halves[request] = came
		return nil
	}
	delete(s.halves, request)
	data, fault := came, other
	if came.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
		data, fault = other, came
	}
	go func() {
		select {
		case <-replySent:
			s.forward(data, fault)
		case <-s.ctx.Done():
		}
	}()
	return nil
}

// forward copies in both directions, as a kubelet does.
func (s *session) forward(data, fault httpstream.Stream) {
	defer fault.Close()
	defer data.Close()
	port, err := strconv.ParseUint(data.Headers().Get(corev1.PortHeader), 10, 16)
	if err != nil {
		fmt.Fprint(fault, err)
		return
	}
	conn, err := s.kubelet.Dial(s.ctx, s.pod, uint16(port))
	if err != nil {
		fmt.Fprintf(fault, "error forwarding port %d to pod %s, uid : %v", port, s.pod.Name, err)
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	defer stop()
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(conn, data)
		_ = conn.Close()
	})
	_, _ = io.Copy(data, conn)
	_ = data.Reset()
	copying.Wait()
}
