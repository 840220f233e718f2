package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/streaming/pkg/httpstream"
)

// reasonWait is how long the reason for a connection that ended without a byte
// is waited for: it comes on a stream of its own.
const reasonWait = time.Second

// maxReason is how much of it is kept, in bytes.
const maxReason = 4096

// stream is a connection to a port of a pod: a data stream, and an error stream
// on which the kubelet says what went wrong.
type stream struct {
	link *link
	port uint16

	data, fault httpstream.Stream
	// said is closed when the error stream has ended; reason is what it said.
	said   chan struct{}
	reason string

	// end is called once; unusable says that the connection below must not be used
	// any more.
	end  func(unusable bool)
	once sync.Once
	// victim says, once closed, that the connection was closed because of another
	// stream.
	victim bool
	// heard says that the pod sent something. A read may be under way while Close
	// looks at it.
	heard atomic.Bool
}

// errNoAnswer is about a stream that the other side does not confirm in time.
var errNoAnswer = errors.New("the kubelet does not answer in time")

// open opens both streams. Their creation knows no context: where it takes too
// long, the caller closes the connection, which ends it.
func (f *Forwarder) open(ctx context.Context, l *link, port uint16) (*stream, error) {
	f.lock.Lock()
	request := l.next
	l.next++
	f.lock.Unlock()
	s := &stream{link: l, port: port, said: make(chan struct{})}
	created := make(chan error, 1)
	go func() { created <- s.create(request) }()
	select {
	case err := <-created:
		if err != nil {
			return nil, err
		}
		return s, nil
	case <-l.gone:
		return nil, errNoAnswer
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errNoAnswer, ctx.Err())
	}
}

func (s *stream) create(request int) error {
	headers := http.Header{}
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	headers.Set(corev1.PortHeader, strconv.Itoa(int(s.port)))
	headers.Set(corev1.PortForwardRequestIDHeader, strconv.Itoa(request))
	var err error
	if s.fault, err = s.link.conn.CreateStream(headers); err != nil {
		return fmt.Errorf("opening the error stream: %w", err)
	}
	_ = s.fault.Close() // Nothing is written to it.
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	if s.data, err = s.link.conn.CreateStream(headers); err != nil {
		_ = s.fault.Reset()
		s.link.conn.RemoveStreams(s.fault)
		return fmt.Errorf("opening the data stream: %w", err)
	}
	go s.listen()
	return nil
}

// listen reads what the kubelet says went wrong.
func (s *stream) listen() {
	text, err := io.ReadAll(io.LimitReader(s.fault, maxReason))
	s.reason = strings.TrimSpace(string(text))
	if s.reason == "" && err != nil {
		s.reason = err.Error()
	}
	close(s.said)
}

// refusal is what the kubelet said, if it has, "" otherwise.
func (s *stream) refusal() string {
	select {
	case <-s.said:
		return s.reason
	default:
		return ""
	}
}

// Read reads what the pod sends. A connection that ends before anything came
// fails with what the kubelet says of it.
func (s *stream) Read(buffer []byte) (int, error) {
	n, err := s.data.Read(buffer)
	if n > 0 {
		s.heard.Store(true)
	}
	if err == nil || s.heard.Load() {
		return n, err
	}
	select {
	case <-s.said:
	case <-time.After(reasonWait):
	}
	if reason := s.refusal(); reason != "" {
		return n, &RefusedError{Port: s.port, Reason: reason}
	}
	return n, err
}

// Write sends to the pod.
func (s *stream) Write(content []byte) (int, error) { return s.data.Write(content) }

// Close ends the connection. The upgraded connection below it is not used for
// others any more if the kubelet said that something went wrong, or if the pod
// was silent.
func (s *stream) Close() error {
	s.once.Do(func() {
		// The data first: what was not read of it would keep the error stream from
		// its end.
		_ = s.data.Reset()
		_ = s.fault.Reset()
		<-s.said
		s.link.conn.RemoveStreams(s.data, s.fault)
		s.end(!s.heard.Load() || s.reason != "")
	})
	return nil
}

// The deadlines of a stream: it has none. Closing it ends every wait.

// SetDeadline does nothing.
func (s *stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing.
func (s *stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr says that there is no address of its own.
func (s *stream) LocalAddr() net.Addr { return tunneled{} }

// RemoteAddr is the port of the pod.
func (s *stream) RemoteAddr() net.Addr { return tunneled{port: s.port} }

// tunneled is an end of a stream.
type tunneled struct{ port uint16 }

// Network names the way.
func (tunneled) Network() string { return "port-forward" }

// String is the port.
func (t tunneled) String() string { return "localhost:" + strconv.Itoa(int(t.port)) }
