package tui

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// noon is when everything happens in these tests.
var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// fake is a Service whose answers are the test's: each func that is nil has a
// plain answer.
type fake struct {
	mu     sync.Mutex
	states chan session.State
	scopes []session.Scope

	fetch      func(context.Context, cliv1alpha1.PortReference, session.Progress) (session.Fetched, error)
	verify     func(context.Context, cliv1alpha1.PortReference, session.Progress) (session.Probed, error)
	forbidden  func(session.Action, cliv1alpha1.PortReference) string
	pins       []session.LivePin
	allowances []session.Allowance
	pin        func(context.Context, session.PinAsk) (session.Draft, error)
	unpin      func(context.Context, cliv1alpha1.PortReference, []string) (session.Draft, error)
	skipOn     func(context.Context, session.SkipAsk) (session.Draft, error)
	skipOff    func(context.Context, cliv1alpha1.PortReference) (session.Draft, error)
	manifest   func(cliv1alpha1.PortReference) (string, error)
}

// newFake is a Service that shows these states, one after the other.
func newFake(states ...session.State) *fake {
	f := &fake{states: make(chan session.State, 16)}
	for _, state := range states {
		f.states <- state
	}
	return f
}

func (f *fake) Watch(ctx context.Context, scope session.Scope) <-chan session.State {
	f.mu.Lock()
	f.scopes = append(f.scopes, scope)
	f.mu.Unlock()
	out := make(chan session.State)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case state := <-f.states:
				select {
				case out <- state:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out
}

// watched are the scopes that were asked for.
func (f *fake) watched() []session.Scope {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.scopes)
}

func (f *fake) Fetch(
	ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
) (session.Fetched, error) {
	if f.fetch == nil {
		return session.Fetched{Service: port, At: noon}, nil
	}
	return f.fetch(ctx, port, progress)
}

func (f *fake) Verify(
	ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
) (session.Probed, error) {
	if f.verify == nil {
		return session.Probed{Service: port, At: noon}, nil
	}
	return f.verify(ctx, port, progress)
}

func (f *fake) Forbidden(action session.Action, port cliv1alpha1.PortReference) string {
	if f.forbidden == nil {
		return ""
	}
	return f.forbidden(action, port)
}

func (f *fake) Pins(cliv1alpha1.PortReference, session.Fetched) []session.LivePin { return f.pins }
func (f *fake) Allowances(cliv1alpha1.PortReference) []session.Allowance          { return f.allowances }

var errNotFaked = errors.New("the test has no answer to that")

func (f *fake) Pin(ctx context.Context, ask session.PinAsk) (session.Draft, error) {
	if f.pin == nil {
		return nil, errNotFaked
	}
	return f.pin(ctx, ask)
}

func (f *fake) Unpin(
	ctx context.Context, port cliv1alpha1.PortReference, pins []string,
) (session.Draft, error) {
	if f.unpin == nil {
		return nil, errNotFaked
	}
	return f.unpin(ctx, port, pins)
}

func (f *fake) SkipOn(ctx context.Context, ask session.SkipAsk) (session.Draft, error) {
	if f.skipOn == nil {
		return nil, errNotFaked
	}
	return f.skipOn(ctx, ask)
}

func (f *fake) SkipOff(ctx context.Context, port cliv1alpha1.PortReference) (session.Draft, error) {
	if f.skipOff == nil {
		return nil, errNotFaked
	}
	return f.skipOff(ctx, port)
}

func (f *fake) Manifest(port cliv1alpha1.PortReference) (string, error) {
	if f.manifest == nil {
		return "", errNotFaked
	}
	return f.manifest(port)
}

// port is svc/NAME:443 in namespace shop.
func port(name string) cliv1alpha1.PortReference {
	return cliv1alpha1.PortReference{Namespace: "shop", Name: name, Port: 443, PortName: "https"}
}

// certificate is one that expires so many days after noon.
func certificate(subject string, days int) *cliv1alpha1.Certificate {
	return &cliv1alpha1.Certificate{
		Subject: "CN=" + subject, Issuer: "CN=Shop CA", SANs: []string{"DNS:" + subject}, SerialNumber: "2a",
		NotBefore: metav1.NewTime(noon.AddDate(0, 0, -30)), NotAfter: metav1.NewTime(noon.AddDate(0, 0, days)),
		Key: "ECDSA P-256", SPKISHA256: "spki-sha256:" + strings.Repeat("k", 42-len(subject)) + subject + "A=",
		CertSHA256: "cert-sha256:" + strings.Repeat("0a", 32),
	}
}

// path leads from gateway/web through httproute/NAME to a port, under a policy of
// the same name that trusts a CA.
func path(name string) cliv1alpha1.Path {
	return cliv1alpha1.Path{
		Service:    port(name),
		Gateway:    &cliv1alpha1.ObjectReference{Kind: "Gateway", Namespace: "shop", Name: "web"},
		Listener:   "http",
		Controller: "backendtls.dev/gateway-controller", Ours: true,
		Route:     &cliv1alpha1.ObjectReference{Kind: "HTTPRoute", Namespace: "shop", Name: name},
		Hostnames: []string{name + ".example.com"},
		Policy: &cliv1alpha1.Policy{
			Namespace: "shop", Name: name,
			Mode: cliv1alpha1.Mode{Requested: "Standard", Enforced: "Standard"},
			Trust: &cliv1alpha1.Trust{
				SNI: name + ".shop.svc", Authorities: []string{"configmap/shop-ca"}, Anchors: 1,
				Names: []string{"DNS:" + name + ".shop.svc"},
			},
		},
		Verdict: cliv1alpha1.Verdict{Result: "NotProbed"},
		Endpoints: []cliv1alpha1.Endpoint{
			{Address: "10.0.0.1:8443", Pod: name + "-0", Result: "NotProbed"},
			{Address: "10.0.0.2:8443", Pod: name + "-1", Result: "NotProbed"},
		},
	}
}

// failing is a path whose endpoints serve what the policy does not trust.
func failing(name string) cliv1alpha1.Path {
	p := path(name)
	p.Verdict = cliv1alpha1.Verdict{
		Result: "Fails", Status: 503, Reason: "UntrustedIssuer",
		Message: "the certificate is self-signed and no trusted certificate signed it",
		Fix:     &cliv1alpha1.Fix{Command: "kubectl backendtls pin svc/" + name + ":443 -n shop"},
	}
	for i := range p.Endpoints {
		p.Endpoints[i].Result, p.Endpoints[i].Reason = "Fails", "UntrustedIssuer"
		p.Endpoints[i].Certificate = certificate(name, 90)
		p.Endpoints[i].Checks = []cliv1alpha1.Check{
			{Check: "Chain", Outcome: "Fail", Message: "self-signed, and not among the trusted certificates"},
			{Check: "Dates", Outcome: "Pass", Message: "valid for another 90 days"},
			{Check: "Name", Outcome: "Pass", Message: "carries DNS:" + name},
			{Check: "Pins", Outcome: "NotChecked", Message: "there are none"},
		}
	}
	return p
}

// passing is a path whose endpoints pass.
func passing(name string) cliv1alpha1.Path {
	p := failing(name)
	p.Verdict = cliv1alpha1.Verdict{Result: "Passes"}
	for i := range p.Endpoints {
		p.Endpoints[i].Result, p.Endpoints[i].Reason = "Passes", ""
		p.Endpoints[i].Checks[0] = cliv1alpha1.Check{Check: "Chain", Outcome: "Pass", Message: "leads to CN=Shop CA"}
	}
	return p
}

// under puts a path under an insecure mode for so long from noon.
func under(p cliv1alpha1.Path, mode string, left time.Duration) cliv1alpha1.Path {
	since, until := metav1.NewTime(noon.Add(-time.Hour)), metav1.NewTime(noon.Add(left))
	policy := *p.Policy
	policy.Mode = cliv1alpha1.Mode{
		Requested: mode, Enforced: mode, State: "Active", Since: &since, Until: &until,
		SecondsLeft: new(int64(left / time.Second)), Reason: "the vendor's certificate lapsed",
	}
	p.Policy = &policy
	return p
}

// world is a State of a cluster with these paths.
func world(paths ...cliv1alpha1.Path) session.State {
	return session.State{
		Scope: session.Scope{Namespace: "shop"}, Source: "context dev", Live: true, At: noon, Now: noon,
		Paths: paths, Namespaces: []string{"bank", "shop"},
	}
}

var _ Service = (*fake)(nil)

// answers is a Verify that finds a path as it is.
func answers(
	found ...cliv1alpha1.Path,
) func(context.Context, cliv1alpha1.PortReference, session.Progress) (session.Probed, error) {
	return func(_ context.Context, port cliv1alpha1.PortReference, _ session.Progress) (session.Probed, error) {
		probed := session.Probed{Service: port, At: noon, Fetched: session.Fetched{Service: port, At: noon}}
		for _, path := range found {
			if !samePort(path.Service, port) {
				continue
			}
			probed.Paths = append(probed.Paths, path)
			for _, e := range path.Endpoints {
				if e.Certificate == nil {
					continue
				}
				probed.Fetched.Endpoints = append(probed.Fetched.Endpoints, cliv1alpha1.EndpointCertificate{
					Service: port, Address: e.Address, Pod: e.Pod, Via: "port-forward", SNI: port.Name + ".shop.svc",
					ObservedAt: metav1.NewTime(noon), TLSVersion: "1.3", ALPN: "h2",
					Chain: []cliv1alpha1.Certificate{*e.Certificate},
				})
			}
		}
		return probed, nil
	}
}
