package tui

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// served are three endpoints with two keys, and one without an answer.
func served(port cliv1alpha1.PortReference) session.Fetched {
	item := func(address, pod string, chain ...cliv1alpha1.Certificate) cliv1alpha1.EndpointCertificate {
		return cliv1alpha1.EndpointCertificate{
			Service: port, Address: address, Pod: pod, Via: "port-forward", SNI: port.Name + ".shop.svc",
			ObservedAt: metav1.NewTime(noon), TLSVersion: "1.3", ALPN: "h2", Chain: chain,
		}
	}
	old, next, ca := certificate("old", 3), certificate("next", 365), certificate("ca", 3650)
	silent := item("10.0.0.4:8443", "api-3")
	silent.TLSVersion, silent.ALPN, silent.Fault, silent.Error = "", "", "Timeout", "no answer within 5s"
	return session.Fetched{Service: port, At: noon, Endpoints: []cliv1alpha1.EndpointCertificate{
		item("10.0.0.1:8443", "api-0", *old, *ca), item("10.0.0.2:8443", "api-1", *next, *ca),
		item("10.0.0.3:8443", "api-2", *old, *ca), silent,
	}}
}

func TestWhatEndpointsServeAtEverySize(t *testing.T) {
	for _, size := range sizes {
		t.Run(size.name, func(t *testing.T) {
			service := newFake(shop())
			service.fetch = func(
				_ context.Context, port cliv1alpha1.PortReference, _ session.Progress,
			) (session.Fetched, error) {
				return served(port), nil
			}
			d := drive(t, service, size.width, size.height)
			d.until("api:443")
			d.press("f")
			d.until("fetch svc/api")
			d.idle()
			d.golden("fetch-" + size.name)
		})
	}
}

func TestAFetchIsCancelledAndWhatCameIsKept(t *testing.T) {
	service := newFake(shop())
	service.fetch = func(
		ctx context.Context, port cliv1alpha1.PortReference, progress session.Progress,
	) (session.Fetched, error) {
		progress(3, 8, "")
		<-ctx.Done()
		fetched := served(port)
		fetched.Partial = true
		return fetched, nil
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("f")
	d.until("asking endpoints: 3 of 8…", "esc cancel")
	d.golden("fetch-asking-80x24")
	d.press("esc")
	d.until("CANCELLED: not every endpoint was asked", "spki-sha256:")
	d.press("esc")
	d.until("> api:443")
}

func TestAFetchThatFailsSaysWhyAndCanBeRepeated(t *testing.T) {
	service := newFake(shop())
	service.fetch = func(
		context.Context, cliv1alpha1.PortReference, session.Progress,
	) (session.Fetched, error) {
		return session.Fetched{}, errors.New("may not create pods/portforward in namespace shop")
	}
	d := drive(t, service, 80, 24)
	d.until("> api")
	d.press("f")
	d.until("NOTHING FETCHED", "fetch svc/api:443: may not create pods/portforward in namespace shop")
	service.fetch = nil
	d.press("f")
	d.until("NO ENDPOINTS")
	d.hides("portforward")
}
