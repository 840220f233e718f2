package xds

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// pipe is a stream in memory, whose time can be a test's.
type pipe struct {
	requests  chan *discoveryv3.DeltaDiscoveryRequest
	responses chan *discoveryv3.DeltaDiscoveryResponse
	done      <-chan struct{}
}

// ends are the server's and the client's end of a pipe.
type (
	serverEnd struct{ *pipe }
	clientEnd struct{ *pipe }
)

func (p serverEnd) Send(r *discoveryv3.DeltaDiscoveryResponse) error {
	select {
	case p.responses <- r:
		return nil
	case <-p.done:
		return io.EOF
	}
}

func (p serverEnd) Recv() (*discoveryv3.DeltaDiscoveryRequest, error) {
	select {
	case r := <-p.requests:
		return r, nil
	case <-p.done:
		return nil, io.EOF
	}
}

func (p clientEnd) Send(r *discoveryv3.DeltaDiscoveryRequest) error {
	select {
	case p.requests <- r:
		return nil
	case <-p.done:
		return io.EOF
	}
}

func (p clientEnd) Recv() (*discoveryv3.DeltaDiscoveryResponse, error) {
	select {
	case r := <-p.responses:
		return r, nil
	case <-p.done:
		return nil, io.EOF
	}
}

// lab is a server in a bubble of its own time.
type lab struct {
	*harness
}

func newLab(t *testing.T) *lab {
	t.Helper()
	server, err := New(Config{Authenticator: &sockets{}, Credentials: UnixCredentials()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return &lab{harness: &harness{Server: server, t: t}}
}

// open is a stream in memory; verdict gets why the server ended it.
func (l *lab) open(gateway gwapi.Key, name string) (end clientEnd, stop func(), verdict chan error) {
	ctx, cancel := context.WithCancel(l.t.Context())
	p := &pipe{
		requests:  make(chan *discoveryv3.DeltaDiscoveryRequest, 100),
		responses: make(chan *discoveryv3.DeltaDiscoveryResponse),
		done:      ctx.Done(),
	}
	verdict = make(chan error, 1)
	go func() {
		verdict <- l.converse(ctx, Peer{Gateway: gateway, Name: name}, serverEnd{p})
		cancel()
	}()
	return clientEnd{p}, cancel, verdict
}

func (l *lab) connect(gateway gwapi.Key, name string, options ...func(*client)) *client {
	end, stop, _ := l.open(gateway, name)
	return newClient(l.t, end, stop, options...)
}

// has says which clusters the client has, and where its routes lead.
func (c *client) now() (has, leads []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name := range c.have[clusters] {
		has = append(has, name)
	}
	if resource := c.have[routes][thePort]; resource != nil {
		leads = c.targets(resource)
	}
	slices.Sort(has)
	slices.Sort(leads)
	return has, leads
}

// leadsAt lets time pass and says where the routes lead then.
func (c *client) leadsAt(passed time.Duration) string {
	time.Sleep(passed)
	synctest.Wait()
	_, leads := c.now()
	return fmt.Sprint(leads)
}

const (
	toOld = "[shop/api/443/old]"
	toNew = "[shop/api/443/new]"
)

// started is a lab whose one Envoy serves oldAPI and from now on does not
// answer what is of the kind.
func started(t *testing.T, silent kind) (*lab, *client) {
	l := newLab(t)
	l.Publish(web, serving(shares("1"), oldAPI))
	c := l.connect(web, "envoy-1")
	if got := c.leadsAt(time.Second); got != toOld {
		t.Fatalf("the routes lead to %s", got)
	}
	c.judgeBy(holding(silent))
	return l, c
}

func TestRoutesWait300msForTheSuccessorOfATrustThatEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := started(t, clusters)
		l.Publish(web, serving(shares("2"), newAPI))
		if got := c.leadsAt(299 * time.Millisecond); got != toOld {
			t.Errorf("after 299 ms the routes lead to %s", got)
		}
		if got := c.leadsAt(2 * time.Millisecond); got != toNew {
			t.Errorf("after 301 ms the routes lead to %s", got)
		}
		if l.settledTo(policy, "2")() {
			t.Error("settled by a timeout")
		}
		c.release()
		synctest.Wait()
		if !l.settledTo(policy, "2")() {
			t.Error("not settled by a late ACK")
		}
	})
}

func TestRoutesWaitASecondForAClusterThatEndsNoTrust(t *testing.T) {
	loosened := newWorld(shares("2"))
	loosened.cluster(newAPI, skipping(time.Time{}))
	for name, next := range map[string]Publication{
		"another Service": serving(shares("2"), oldAPI, thePay),
		"into a mode":     loosened.done(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, c := started(t, clusters)
				l.Publish(web, next)
				if got := c.leadsAt(999 * time.Millisecond); got != toOld {
					t.Errorf("after 999 ms the routes lead to %s", got)
				}
				if got := c.leadsAt(2 * time.Millisecond); got == toOld {
					t.Errorf("after 1001 ms the routes lead to %s", got)
				}
			})
		})
	}
}

func TestAClusterWhoseTrustEndedGoesAlsoWithoutTheAckOfTheRoutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := started(t, routes)
		l.Publish(web, serving(shares("2"), newAPI))
		c.leadsAt(299 * time.Millisecond)
		if has, _ := c.now(); !slices.Equal(has, []string{newAPI, oldAPI}) {
			t.Errorf("after 299 ms the clusters are %v", has)
		}
		c.leadsAt(2 * time.Millisecond)
		if has, _ := c.now(); !slices.Equal(has, []string{newAPI}) {
			t.Errorf("after 301 ms the clusters are %v", has)
		}
		if l.settledTo(policy, "2")() {
			t.Error("settled without the ACK of the routes")
		}
		c.release()
		synctest.Wait()
		if !l.settledTo(policy, "2")() {
			t.Error("not settled by a late ACK")
		}
	})
}

func TestATighteningDoesNotWaitForAClusterThatDoesNotWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := started(t, clusters)
		l.Publish(web, serving(shares("2"), oldAPI, thePay))
		c.leadsAt(50 * time.Millisecond)
		l.Publish(web, serving(shares("3"), newAPI, thePay))
		c.leadsAt(time.Second)
		has, leads := c.now()
		if fmt.Sprint(leads) != "[shop/api/443/new shop/pay/443/pay]" {
			t.Errorf("after a second the routes lead to %v", leads)
		}
		removed := false
		c.mu.Lock()
		for _, response := range c.held {
			removed = removed || slices.Contains(response.GetRemovedResources(), oldAPI)
		}
		c.mu.Unlock()
		if !removed {
			t.Errorf("after a second the removal was not sent, the clusters are %v", has)
		}
	})
}

func TestPublicationsThatKeepComingDoNotKeepTheRoutesWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := started(t, clusters)
		names := []string{oldAPI}
		for i := range 40 {
			names = append(names, fmt.Sprintf("shop/s%d/443/x", i))
			l.Publish(web, serving(shares(fmt.Sprint(i)), names...))
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		_, leads := c.now()
		if len(leads) < 10 {
			t.Errorf("after 2 s of publications the routes lead to %v", leads)
		}
	})
}

func TestWhatAnUnresponsiveEnvoyMissesIsOnePublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, c := started(t, routes)
		before := c.count(routes)
		for i := range 100 {
			l.Publish(web, serving(shares(fmt.Sprint(i)), fmt.Sprintf("shop/api/443/%d", i)))
		}
		synctest.Wait()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := c.count(routes) - before; got > 2 {
			t.Errorf("100 publications became %d", got)
		}
		c.release()
		if got := c.leadsAt(5 * time.Second); got != "[shop/api/443/99]" {
			t.Errorf("the routes lead to %s", got)
		}
		if !l.settledTo(policy, "99")() {
			t.Error("the newest did not settle")
		}
	})
}

func TestAStreamThatDoesNotAnswerIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Publish(web, serving(shares("1"), oldAPI))
		end, stop, verdict := l.open(web, "envoy-1")
		defer stop()
		newClient(t, end, stop, judging(holding(clusters)))
		begun := time.Now()
		if err := <-verdict; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("ended with %v, want DeadlineExceeded", err)
		}
		if took := time.Since(begun); took < ackPatience || took > ackPatience+ackPatience/3 {
			t.Errorf("ended after %s, want about %s", took, ackPatience)
		}
		if held := heldNames(ledger(t, l.Server, web, "envoy-1")); held != toOld {
			t.Errorf("holds %s", held)
		}
	})
}

func TestAClientThatDoesNotReadHindersNobodyAndIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Publish(web, serving(shares("1"), oldAPI))
		end, stop, verdict := l.open(web, "slow")
		defer stop()
		if err := end.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: clusters.typeURL()}); err != nil {
			t.Fatal(err)
		}
		c := l.connect(web, "envoy-1")
		if got := c.leadsAt(2 * time.Second); got != toOld {
			t.Errorf("the neighbor's routes lead to %s", got)
		}
		l.Publish(web, serving(shares("2"), newAPI))
		if got := c.leadsAt(time.Second); got != toNew {
			t.Errorf("the neighbor's routes lead to %s", got)
		}
		if err := <-verdict; status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("the slow one ended with %v, want DeadlineExceeded", err)
		}
	})
}

func TestOnANewStreamRoutesWaitForTheFirstAckOfTheClusters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Publish(web, serving(shares("1"), oldAPI))
		synctest.Wait()
		c := l.connect(web, "envoy-1", judging(holding(clusters)))
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		if n := c.count(listeners); n != 0 {
			t.Errorf("%d responses with listeners after 999 ms", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := c.count(listeners); n != 1 {
			t.Errorf("%d responses with listeners after 1001 ms, want 1", n)
		}
	})
}

func TestARefusedListenerIsTriedAgainNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		l.Publish(web, serving(shares("1"), oldAPI))
		c := l.connect(web, "envoy-1", judging(refusing(listeners, thePort, "Address already in use")))
		c.leadsAt(retryAfter - time.Second)
		if n := c.timesSent(listeners, thePort); n != 1 {
			t.Errorf("sent %d times within %s", n, retryAfter)
		}
		c.leadsAt(2 * time.Second)
		if n := c.timesSent(listeners, thePort); n != 2 {
			t.Errorf("sent %d times after %s, want twice", n, retryAfter)
		}
		c.judgeBy(nil)
		if got := c.leadsAt(retryAfter); got != toOld {
			t.Errorf("the routes lead to %s", got)
		}
		if e := ledger(t, l.Server, web, "envoy-1"); len(e.Rejections) > 0 || e.Settled[policy] != "1" {
			t.Errorf("rejections %v, settled %v", e.Rejections, e.Settled)
		}
	})
}

func TestALapsedClusterIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		w := newWorld(shares("1"))
		w.cluster(oldAPI, skipping(time.Now().Add(10*time.Second)))
		w.cluster(thePay, model.HeldCluster{Policy: rival})
		l.Publish(web, w.done())
		first := l.connect(web, "envoy-1")
		first.leadsAt(time.Second)
		if has, _ := first.now(); !slices.Equal(has, []string{oldAPI, thePay}) {
			t.Errorf("before the lapse the clusters are %v", has)
		}
		time.Sleep(9 * time.Second)
		late := l.connect(web, "envoy-2")
		late.leadsAt(500 * time.Millisecond)
		if has, _ := late.now(); !slices.Equal(has, []string{thePay}) {
			t.Errorf("after the lapse the clusters are %v", has)
		}
		if held := heldNames(ledger(t, l.Server, web, "envoy-1")); held != "[shop/api/443/old shop/pay/443/pay]" {
			t.Errorf("within the margin the first holds %s", held)
		}
		time.Sleep(time.Second)
		if held := heldNames(ledger(t, l.Server, web, "envoy-1")); held != "[shop/pay/443/pay]" {
			t.Errorf("after the margin the first holds %s", held)
		}
		if held := heldNames(ledger(t, l.Server, web, "envoy-2")); held != "[shop/pay/443/pay]" {
			t.Errorf("the late one holds %s", held)
		}
	})
}

func TestAProofEndsItsStreamShortlyBeforeItExpires(t *testing.T) {
	now := time.Now()
	for range 100 {
		left := Peer{Expires: now.Add(time.Hour)}.remaining(now)
		if left > time.Hour || left < time.Hour-expirySpread {
			t.Fatalf("a proof of an hour lets the stream live for %s", left)
		}
	}
	if left := (Peer{Expires: now.Add(-time.Hour)}).remaining(now); left != 0 {
		t.Errorf("an expired proof lets the stream live for %s", left)
	}
}
