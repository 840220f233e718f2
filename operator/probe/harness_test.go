package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/test/pki"
)

const (
	host     = "api.example.com"
	interval = time.Minute
)

var (
	web   = gwapi.KeyOf(gwapi.KindGateway, "shop", "web")
	other = gwapi.KeyOf(gwapi.KindGateway, "shop", "other")
)

// authority issues what good endpoints present, in the time of the tests.
type authority struct{ ca, good *pki.Identity }

// newAuthority makes certificates that are valid now, in whatever time it is.
func newAuthority(tb testing.TB) authority {
	tb.Helper()
	from, to := time.Now().Add(-24*time.Hour), time.Now().Add(90*24*time.Hour)
	ca, err := pki.SelfSigned(pki.Request{Name: "ca", CA: true, NotBefore: from, NotAfter: to})
	if err != nil {
		tb.Fatal(err)
	}
	good, err := ca.Issue(pki.Request{Name: "good", DNS: []string{host}, NotBefore: from, NotAfter: to})
	if err != nil {
		tb.Fatal(err)
	}
	return authority{ca, good}
}

// trust is a policy of that name that trusts the authority.
func (a authority) trust(policy string) *model.Trust {
	return &model.Trust{
		Policy: gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "shop", policy), Mode: model.Standard, SNI: host,
		Anchors: [][]byte{a.ca.Certificate.Raw}, Names: []model.Name{{Kind: model.DNS, Value: host}},
	}
}

// backend is port 443 of a Service under a trust.
func backend(service string, trust *model.Trust) model.Backend {
	return model.Backend{
		Service: gwapi.KeyOf(gwapi.KindService, "shop", service), Port: 443, PortName: "https",
		Trust: trust, Written: trust, Checked: trust.Digest(),
	}
}

// keyOf is what the checks of a backend are about.
func keyOf(b model.Backend) model.ProbeKey {
	key, _ := b.ProbeKey()
	return key
}

// gateways are those with an interval and backends.
func gateways(list ...model.Gateway) map[gwapi.Key]model.Gateway {
	byKey := map[gwapi.Key]model.Gateway{}
	for _, gateway := range list {
		byKey[gateway.Key] = gateway
	}
	return byKey
}

func gateway(key gwapi.Key, backends ...model.Backend) model.Gateway {
	return model.Gateway{Key: key, ProbeInterval: interval, Backends: backends}
}

// world is the pods of a cluster and what their ports do.
type world struct {
	mu    sync.Mutex
	pods  map[types.NamespacedName]*corev1.Pod
	serve map[netip.AddrPort]func(net.Conn)
	// podError is what reading a Pod ends in, nil to find it.
	podError error
	// asked are the addresses that were dialled, and when.
	asked []dialled
	// open and most are the connections at a time; perHost those of one address's
	// group, which is its third byte.
	open, most  int
	openOf      map[byte]int
	mostOf      int
	connections sync.WaitGroup
}

type dialled struct {
	address netip.AddrPort
	at      time.Time
}

func newWorld() *world {
	return &world{
		pods: map[types.NamespacedName]*corev1.Pod{}, serve: map[netip.AddrPort]func(net.Conn){}, openOf: map[byte]int{},
	}
}

// place puts a pod of shop behind an address and says what its port does.
func (w *world) place(name, address string, serve func(net.Conn)) {
	w.placeIn("shop", name, address, serve)
}

func (w *world) placeIn(namespace, name, address string, serve func(net.Conn)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: name}
	w.pods[key] = &corev1.Pod{
		Namespace: key.Namespace, Name: key.Name,
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: "192.0.2.1", HostIPs: []corev1.HostIP{{IP: "192.0.2.1"}},
			PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
		},
	}
	w.serve[netip.AddrPortFrom(netip.MustParseAddr(address), 8443)] = serve
}

// pod reads a Pod.
func (w *world) pod(_ context.Context, name types.NamespacedName) (*corev1.Pod, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.podError != nil {
		return nil, w.podError
	}
	if pod := w.pods[name]; pod != nil {
		return pod, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("pods"), name.Name)
}

// dial connects to a port by a pipe.
func (w *world) dial(_ context.Context, _, text string) (net.Conn, error) {
	address := netip.MustParseAddrPort(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = append(w.asked, dialled{address, time.Now()})
	serve := w.serve[address]
	if serve == nil {
		return nil, errors.New("connection refused")
	}
	group := address.Addr().As4()[2]
	w.open++
	w.openOf[group]++
	w.most, w.mostOf = max(w.most, w.open), max(w.mostOf, w.openOf[group])
	near, far := net.Pipe()
	w.connections.Go(func() {
		defer far.Close()
		serve(far)
	})
	return &counted{Conn: near, closed: func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.open--
		w.openOf[group]--
	}}, nil
}

// counted is a connection whose end is noted.
type counted struct {
	net.Conn
	once   sync.Once
	closed func()
}

func (c *counted) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close()
}

// dials are how often each address was dialled.
func (w *world) dials() map[netip.AddrPort]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	times := map[netip.AddrPort]int{}
	for _, d := range w.asked {
		times[d.address]++
	}
	return times
}

// connected is how many connections there are.
func (w *world) connected() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open
}

// peaks are the most connections there were at a time, and the most of one group.
func (w *world) peaks() (all, ofGroup int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most, w.mostOf
}

// log is every dial so far.
func (w *world) log() []dialled {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked)
}

// presents serves a certificate.
func presents(identity *pki.Identity) func(net.Conn) {
	return func(conn net.Conn) {
		server := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{identity.TLS()}})
		if server.Handshake() == nil {
			_, _ = server.Read(make([]byte, 1)) // The end, or application data, which nobody sends.
		}
	}
}

// silent accepts a connection and says nothing.
func silent(conn net.Conn) {
	for buffer := make([]byte, 1024); ; {
		if _, err := conn.Read(buffer); err != nil {
			return
		}
	}
}

// endpoint is an address of a slice; a pod of "" is none.
func endpoint(address, namespace, pod string) discoveryv1.Endpoint {
	e := discoveryv1.Endpoint{Addresses: []string{address}}
	if pod != "" {
		e.TargetRef = &corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: pod}
	}
	return e
}

// slice lists endpoints of a Service at port 8443.
func slice(service string, endpoints ...discoveryv1.Endpoint) []*discoveryv1.EndpointSlice {
	return []*discoveryv1.EndpointSlice{{
		Namespace: "shop", Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("https"), Port: new(int32(8443))}},
		Endpoints:   endpoints,
	}}
}

// running is a Prober that runs until the test ends it.
type running struct {
	*Prober

	leading atomic.Bool
	stop    func()
}

// start runs a Prober that leads in a world.
func (w *world) start(tb testing.TB, config Config) *running {
	tb.Helper()
	r := &running{}
	r.leading.Store(true)
	config.Leading = r.leading.Load
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Pod == nil {
		config.Pod = w.pod
	}
	if config.Dial == nil {
		config.Dial = w.dial
	}
	r.Prober = New(config)
	ctx, cancel := context.WithCancel(tb.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := r.Run(ctx); err != nil {
			tb.Error(err)
		}
	})
	r.stop = func() { cancel(); group.Wait(); w.connections.Wait() }
	return r
}

// lead changes whether it leads.
func (r *running) lead(leading bool) {
	r.leading.Store(leading)
	r.Poke()
}

// said is what is published about a backend, in words.
func (r *running) said(b model.Backend) string {
	probed, known := r.Probed()[keyOf(b)]
	if !known {
		return "nothing"
	}
	text := fmt.Sprintf("%d:", probed.Endpoints)
	for _, count := range probed.Counts {
		text += fmt.Sprintf(" %d %s", count.Count, count.Result)
	}
	for _, count := range probed.Unasked {
		text += fmt.Sprintf(" unasked %d %s", count.Count, count.Result)
	}
	if !probed.Complete {
		text += " so far"
	}
	return text
}

// named is the name of an endpoint's pod.
func named(service string, i int) string { return fmt.Sprintf("%s-%d", service, i) }

// deploy makes a Service with pods at 10.0.GROUP.1 and on.
func (w *world) deploy(r *running, service string, group byte, pods int, serve func(net.Conn)) {
	var endpoints []discoveryv1.Endpoint
	for i := range pods {
		address := netip.AddrFrom4([4]byte{10, 0, group, byte(i + 1)}).String()
		w.place(named(service, i), address, serve)
		endpoints = append(endpoints, endpoint(address, "", named(service, i)))
	}
	r.SetSlices(types.NamespacedName{Namespace: "shop", Name: service}, slice(service, endpoints...))
}

func sortedTimes(log []dialled) []dialled {
	slices.SortFunc(log, func(a, b dialled) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return log
}

// pass lets time pass in a bubble of synctest, and what it sets off happen.
func pass(span time.Duration) {
	time.Sleep(span)
	synctest.Wait()
}
