package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// PerPod is how many streams there are at once to one pod.
const PerPod = 4

// Forwarder reaches ports of pods through the API server's port-forward, with
// one upgraded connection for each pod in use and no local listener. Whoever
// uses it limits the pods that are in use at once; Fetch does.
type Forwarder struct {
	// dialer makes upgraded connections to a pod.
	dialer func(pod types.NamespacedName) (httpstream.Dialer, error)

	lock sync.Mutex
	pods map[types.NamespacedName]*pod
}

// NewForwarder reaches pods through the API server of the config.
func NewForwarder(config *rest.Config) (*Forwarder, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, fmt.Errorf("port-forward: %w", err)
	}
	return &Forwarder{
		pods: map[types.NamespacedName]*pod{},
		dialer: func(pod types.NamespacedName) (httpstream.Dialer, error) {
			return newDialer(config, base.JoinPath("api/v1/namespaces", pod.Namespace, "pods", pod.Name, "portforward"))
		},
	}, nil
}

// newDialer asks for a websocket first, which is a GET, and for SPDY, which is a
// POST, where that is refused: the API server is older than 1.31, a proxy is in
// between, or the person may create pods/portforward and not get it.
func newDialer(config *rest.Config, address *url.URL) (httpstream.Dialer, error) {
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	newer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(address, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(newer, older, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// pod is what is known of a pod in use.
type pod struct {
	users int
	// slots bounds the streams.
	slots chan struct{}
	// turn is held by whoever makes the connection.
	turn chan struct{}
	// current is the connection for new streams, nil for none.
	current *link
}

// link is one upgraded connection.
type link struct {
	conn httpstream.Connection
	// spoiled says that it was closed because one of its streams could have
	// blocked it. Guarded by the Forwarder's lock, as is next.
	spoiled bool
	// gone is closed with it: a stream that is being opened is not told.
	gone chan struct{}
	// next is the number of the next request.
	next int
}

// errSpoiled is about a stream whose connection was closed because of another.
var errSpoiled = errors.New("another port of the pod spoiled the connection")

// dial opens a connection to a port inside the pod's network namespace, on its
// loopback: a server that listens on the pod's address only refuses here. The
// returned connection knows no deadlines; closing it ends every wait. Alone
// makes an upgraded connection for this stream and no other. The error is a
// ForbiddenError where the person may not, and errSpoiled where it is worth to
// try again.
func (f *Forwarder) dial(ctx context.Context, name types.NamespacedName, port uint16, alone bool) (*stream, error) {
	p := f.enter(name)
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		f.leave(name, p)
		return nil, ctx.Err()
	}
	leave := func() {
		<-p.slots
		f.leave(name, p)
	}
	l, err := f.join(ctx, name, p, alone)
	if err != nil {
		leave()
		return nil, explain(name, err)
	}
	s, err := f.open(ctx, l, port)
	if err != nil {
		if f.spoil(p, l) {
			err = fmt.Errorf("%w: %w", errSpoiled, err)
		}
		leave()
		return nil, explain(name, err)
	}
	s.end = func(unusable bool) {
		if unusable || alone {
			s.victim = f.spoil(p, l)
		} else {
			s.victim = f.isSpoiled(l)
		}
		leave()
	}
	return s, nil
}

// isSpoiled says whether a connection was closed because of a stream.
func (f *Forwarder) isSpoiled(l *link) bool {
	f.lock.Lock()
	defer f.lock.Unlock()
	return l.spoiled
}

// spoil closes a connection on which something went wrong, at once: a kubelet
// that could not connect, or a pod that stays silent, leaves data unread, which
// blocks what was sent after it on the same connection, for other streams too
// (kubernetes/kubectl#1169). Those are tried again. It says whether that had
// been done before.
func (f *Forwarder) spoil(p *pod, l *link) (before bool) {
	f.lock.Lock()
	before, l.spoiled = l.spoiled, true
	if p.current == l {
		p.current = nil
	}
	f.lock.Unlock()
	if !before {
		close(l.gone)
		// Closing alone waits for streams that the other side has not confirmed.
		l.conn.SetIdleTimeout(time.Millisecond)
		_ = l.conn.Close()
	}
	return before
}

func (f *Forwarder) enter(name types.NamespacedName) *pod {
	f.lock.Lock()
	defer f.lock.Unlock()
	p := f.pods[name]
	if p == nil {
		p = &pod{slots: make(chan struct{}, PerPod), turn: make(chan struct{}, 1)}
		f.pods[name] = p
	}
	p.users++
	return p
}

// leave forgets a pod with its last user, and closes the connection to it.
func (f *Forwarder) leave(name types.NamespacedName, p *pod) {
	f.lock.Lock()
	p.users--
	var idle *link
	if p.users == 0 {
		delete(f.pods, name)
		idle, p.current = p.current, nil
	}
	f.lock.Unlock()
	if idle != nil {
		_ = idle.conn.Close()
	}
}

// join is the connection to use, made if there is none.
func (f *Forwarder) join(ctx context.Context, name types.NamespacedName, p *pod, alone bool) (*link, error) {
	if alone {
		conn, err := f.connect(ctx, name)
		return &link{conn: conn, gone: make(chan struct{})}, err
	}
	select {
	case p.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.turn }()
	f.lock.Lock()
	current := p.current
	f.lock.Unlock()
	if current != nil && !closed(current.conn) {
		return current, nil
	}
	conn, err := f.connect(ctx, name)
	if err != nil {
		return nil, err
	}
	l := &link{conn: conn, gone: make(chan struct{})}
	f.lock.Lock()
	p.current = l
	f.lock.Unlock()
	return l, nil
}

func closed(conn httpstream.Connection) bool {
	select {
	case <-conn.CloseChan():
		return true
	default:
		return false
	}
}

// connect makes an upgraded connection. The dialers of client-go take no
// context, so one that arrives too late is closed when it comes.
func (f *Forwarder) connect(ctx context.Context, name types.NamespacedName) (httpstream.Connection, error) {
	dialer, err := f.dialer(name)
	if err != nil {
		return nil, err
	}
	type arrival struct {
		conn httpstream.Connection
		err  error
	}
	arrivals := make(chan arrival, 1)
	go func() {
		conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		arrivals <- arrival{conn, err}
	}()
	select {
	case came := <-arrivals:
		return came.conn, came.err
	case <-ctx.Done():
		go func() {
			if late := <-arrivals; late.err == nil {
				_ = late.conn.Close()
			}
		}()
		return nil, fmt.Errorf("connecting to the pod: %w", ctx.Err())
	}
}
