package e2e

import (
	"crypto/tls"
	"net/http"
	"testing"
	"time"
)

// TestATLSFloorBitesAtOnce raises minTLSVersion under traffic.
func TestATLSFloorBitesAtOnce(t *testing.T) {
	f := newFixtures(t)
	w := newWorld(t)
	w.base(`{backendTLS: {}}`)
	old := serveWith(t, &tls.Config{
		MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{f.good.TLS()},
	})
	w.write("services.yaml", f.bundles+service("old", "old.test", old, "https")+
		service("new", "new.test", serve(t, f.good), "https")+
		policy("old", f.trusted, nil)+policy("new", f.trusted, nil))
	w.start()
	w.eventually("200 from both", func() bool {
		return w.get("old.test") == http.StatusOK && w.get("new.test") == http.StatusOK
	})
	tr := w.traffic("old.test")
	tr.both(w, time.Time{}, http.StatusOK)
	w.base(`{backendTLS: {minTLSVersion: "1.3"}}`)
	bound := time.Now().Add(time.Second)
	tr.both(w, bound, http.StatusServiceUnavailable)
	tr.none(t, bound, http.StatusOK, "the floor was raised a second ago")
	w.eventually("200 over TLS 1.3", func() bool { return w.get("new.test") == http.StatusOK })
}
