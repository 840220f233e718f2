package ledger

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

func TestEveryReplicaKnowsWhatAllKnow(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.start(1, nil), w.start(2, nil), w.start(3, nil)
	a.write(web, connected("envoy-1", "1"))
	b.write(web, connected("envoy-2", "1"))
	for _, r := range []*replica{a, b, c} {
		r.sees("envoy-1=1*", "envoy-2=1*")
	}
	// Changes, and records that go.
	a.write(web, connected("envoy-1", "2"))
	b.gone(web, "envoy-2")
	c.write(web, disconnected("envoy-3", "1"))
	for _, r := range []*replica{a, b, c} {
		r.sees("envoy-1=2*", "envoy-3=1")
	}
	if got := len(a.Envoys()); got != 1 {
		t.Errorf("there are %d Gateways", got)
	}
}

func TestAnEnvoyThatReconnectsElsewhereIsKnownByItsNewStream(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(1, nil), w.start(2, nil)
	open, strict := skipping("open", time.Time{}), model.HeldCluster{Name: "strict", Policy: policy}
	holds := func(names ...string) func([]model.Envoy) bool {
		return func(envoys []model.Envoy) bool {
			if len(envoys) != 1 || len(envoys[0].Held) != len(names) {
				return false
			}
			for i, held := range envoys[0].Held {
				if held.Name != names[i] {
					return false
				}
			}
			return true
		}
	}
	a.write(web, connected("envoy-1", "1", open))
	for _, r := range []*replica{a, b} {
		r.eventually("the open cluster", holds("open"))
	}
	// The stream to a is not known to have ended yet: either may be right.
	b.write(web, connected("envoy-1", "2", strict))
	for _, r := range []*replica{a, b} {
		r.eventually("both", holds("open", "strict"))
		r.sees("envoy-1=*")
	}
	a.write(web, disconnected("envoy-1", "1", open))
	for _, r := range []*replica{a, b} {
		r.eventually("only what the new stream says", holds("strict"))
		r.sees("envoy-1=2*")
	}
	// The stream to b ends too: then nobody knows better than both together.
	b.write(web, disconnected("envoy-1", "2", strict))
	for _, r := range []*replica{a, b} {
		r.eventually("both again", holds("open", "strict"))
		r.sees("envoy-1=")
	}
	// The pod is gone, as each replica finds out by itself.
	a.gone(web, "envoy-1")
	for _, r := range []*replica{a, b} {
		r.sees("envoy-1=2")
	}
	b.gone(web, "envoy-1")
	for _, r := range []*replica{a, b} {
		r.sees()
	}
}

func TestWhatAReplicaSaidIsForgottenWithIt(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(1, nil), w.start(2, nil)
	b.write(web, connected("envoy-2", "1"))
	a.sees("envoy-2=1*")
	b.stop()
	a.sees()
	// It comes back, as another pod.
	w.remove(b.pod.UID)
	b2 := w.start(3, nil)
	b2.write(web, connected("envoy-2", "3"))
	a.sees("envoy-2=3*")
	// A pod that is gone is not talked to any more, though it would answer.
	w.remove(b2.pod.UID)
	a.sees()
}

// mute is a replica that tells some messages and then nothing, not even that it
// is there.
type mute struct {
	messages []message
	// next, if there is one, holds all but the first back until it is closed.
	next <-chan struct{}
	// asked counts who listened.
	asked *atomic.Int32
}

func (m mute) watch(stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	if m.asked != nil {
		m.asked.Add(1)
	}
	for i, said := range m.messages {
		if i > 0 && m.next != nil {
			select {
			case <-m.next:
			case <-stream.Context().Done():
			}
		}
		if err := say(stream, said); err != nil {
			return err
		}
	}
	<-stream.Context().Done()
	return stream.Context().Err()
}

// startMute runs a mute replica.
func (w *world) startMute(number int, m mute) {
	w.t.Helper()
	pod := Pod{Name: "mute", UID: "mute", IP: fmt.Sprintf("127.0.0.%d", 100+number)}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(w.ca.TLSConfig())))
	server.RegisterService(service(), m)
	listener := w.listen(pod.IP, w.port)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	w.t.Cleanup(func() {
		server.Stop()
		<-done
	})
	w.put(pod, "token-mute")
}

// telling is a message about envoy-2.
func telling(t *testing.T, complete bool, shares ...string) message {
	t.Helper()
	m := message{Complete: complete}
	for _, share := range shares {
		raw, _, err := encode(web, connected("envoy-2", share))
		if err != nil {
			t.Fatal(err)
		}
		m.Envoys = append(m.Envoys, raw)
	}
	return m
}

func TestASilentReplicaIsForgotten(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, func(_ *Config, limits *timing) {
		limits.silence, limits.maxRetry, limits.retry = 2*time.Second, time.Hour, time.Hour
	})
	w.startMute(2, mute{messages: []message{telling(t, true, "1")}})
	a.sees("envoy-2=1*")
	a.sees()
}

func TestAStateThatIsNotWholeDoesNotCount(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, func(_ *Config, limits *timing) { limits.silence = time.Second })
	var asked atomic.Int32
	w.startMute(2, mute{messages: []message{telling(t, false, "1")}, asked: &asked})
	b := w.start(3, nil)
	b.write(web, connected("envoy-3", "1"))
	a.sees("envoy-3=1*")
	// The mute one is given up and tried again; nothing of it ever counts.
	limit := time.After(time.Minute)
	for asked.Load() < 4 {
		select {
		case <-a.Changes():
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatalf("the mute one was asked %d times", asked.Load())
		}
		if got := inWords(a.Envoys()[web]); slices.ContainsFunc(got, func(e string) bool { return e != "envoy-3=1*" }) {
			t.Fatalf("it has %v", got)
		}
	}
	a.sees("envoy-3=1*")
}

func TestAReplicaThatTellsNonsenseIsNotHeard(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, nil)
	next := make(chan struct{})
	nonsense := message{Envoys: []json.RawMessage{json.RawMessage(`{"name":"x"}`)}}
	w.startMute(2, mute{messages: []message{telling(t, true, "1"), nonsense}, next: next})
	a.sees("envoy-2=1*")
	close(next)
	a.sees()
}

func TestWordsAreNotMissedWhileAStreamIsRenewed(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, func(_ *Config, limits *timing) { limits.renewal = 20 * time.Millisecond })
	b := w.start(2, nil)
	b.write(web, connected("envoy-2", "1"))
	a.sees("envoy-2=1*")
	for w.count("token-operator-1") < 10 {
		if len(a.Envoys()[web]) != 1 {
			t.Fatalf("after %d streams nothing is known", w.count("token-operator-1"))
		}
		runtime.Gosched()
	}
	// The newest token of the file is used, and what changes arrives.
	w.put(a.pod, "newer")
	a.setToken("newer")
	for w.count("newer") == 0 {
		if len(a.Envoys()[web]) != 1 {
			t.Fatal("nothing is known with a newer token")
		}
		runtime.Gosched()
	}
	b.write(web, connected("envoy-2", "2"))
	a.sees("envoy-2=2*")
}

func TestAStreamEndsWithTheProofOfItsCaller(t *testing.T) {
	w := newWorld(t)
	a, b := w.prepare(1, nil), w.start(2, nil)
	b.write(web, connected("envoy-2", "1"))
	w.put(a.pod, "token-operator-1")
	w.grant("token-operator-1", func(c *Caller) { c.Expires = time.Now().Add(4 * time.Second) })
	a.run(w.listen(a.pod.IP, w.port))
	a.sees("envoy-2=1*")
	a.sees()
	w.put(a.pod, "newer")
	a.setToken("newer")
	a.sees("envoy-2=1*")
}

func TestATokenIsNotSentToWhoeverCannotProveItself(t *testing.T) {
	w := newWorld(t)
	a := w.start(1, nil)
	b := w.start(2, func(c *Config, _ *timing) { c.ServerTLS = rogueTLS(t) })
	b.write(web, connected("envoy-2", "1"))
	a.write(web, connected("envoy-1", "1"))
	// b hears a, because b knows the right CA; a does not hear b.
	b.sees("envoy-1=1*", "envoy-2=1*")
	a.sees("envoy-1=1*")
	if n := w.count("token-operator-1"); n != 0 {
		t.Errorf("the token was sent %d times", n)
	}
}

func TestAReplicaIsFollowedToAnotherAddress(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(1, nil), w.prepare(2, nil)
	b.write(web, connected("envoy-2", "1"))
	w.put(Pod{Name: b.pod.Name, UID: b.pod.UID}, "token-operator-2")
	w.put(Pod{Name: b.pod.Name, UID: b.pod.UID, IP: "127.0.0.200"}, "token-operator-2")
	b.run(w.listen(b.pod.IP, w.port))
	w.put(b.pod, "token-operator-2")
	a.sees("envoy-2=1*")
}

func TestALedgerLargerThanOneMessageArrives(t *testing.T) {
	w := newWorld(t)
	a, b := w.start(1, nil), w.start(2, nil)
	var held []model.HeldCluster
	settled := map[gwapi.Key]string{web: "1"}
	for i := range 1000 {
		held = append(held, skipping(fmt.Sprintf("shop/backend-%05d/%s", i, strings.Repeat("0", 64)), time.Time{}))
		settled[gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", fmt.Sprint(i))] = strings.Repeat("0", 64)
	}
	var want []string
	for i := range 8 {
		e := connected(fmt.Sprintf("envoy-%d", i), "1", held...)
		e.Settled = settled
		b.write(web, e)
		want = append(want, e.Name+"=1*")
	}
	a.sees(want...)
	if got := a.Envoys()[web][7]; len(got.Held) != len(held) || len(got.Settled) != len(settled) {
		t.Errorf("%d clusters and %d policies arrived", len(got.Held), len(got.Settled))
	}
}

func TestALedgerIsRefusedThatLacksAnything(t *testing.T) {
	w := newWorld(t)
	whole := w.prepare(1, nil).config
	for field, change := range map[string]func(*Config){
		"Local":          func(c *Config) { c.Local = nil },
		"Peers":          func(c *Config) { c.Peers = nil },
		"Authenticator":  func(c *Config) { c.Authenticator = nil },
		"Namespace":      func(c *Config) { c.Namespace = "" },
		"ServiceAccount": func(c *Config) { c.ServiceAccount = "" },
		"Self":           func(c *Config) { c.Self = "" },
		"Port":           func(c *Config) { c.Port = 0 },
		"ClientTLS":      func(c *Config) { c.ClientTLS = nil },
		"TokenFile":      func(c *Config) { c.TokenFile = "" },
		"ServerTLS":      func(c *Config) { c.ServerTLS = c.ServerTLS.Clone(); c.ServerTLS.MinVersion = 0 },
	} {
		config := whole
		change(&config)
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("without %s: %v", field, err)
		}
	}
}
