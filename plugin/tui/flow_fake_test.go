package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/session"
)

// fakeDraft is a Draft whose words are the test's.
type fakeDraft struct {
	port        cliv1alpha1.PortReference
	show        string
	difference  string
	idle        bool
	ask         session.Confirmation
	commit      func(context.Context) error
	acknowledge func(context.Context, func(string)) error
	committed   int
}

func (d *fakeDraft) Service() cliv1alpha1.PortReference { return d.port }
func (d *fakeDraft) Policy() string                     { return d.port.Name }
func (d *fakeDraft) Changes() bool                      { return !d.idle }

func (d *fakeDraft) Show(w io.Writer, _ int, _ bool) error {
	_, err := io.WriteString(w, d.show)
	return err
}

func (d *fakeDraft) Difference() string                 { return d.difference }
func (d *fakeDraft) Manifest() string                   { return "kind: BackendTLSPolicy\n" }
func (d *fakeDraft) Confirmation() session.Confirmation { return d.ask }

func (d *fakeDraft) Commit(ctx context.Context) error {
	d.committed++
	if d.commit == nil {
		return nil
	}
	return d.commit(ctx)
}

func (d *fakeDraft) Acknowledged(ctx context.Context, tell func(string)) error {
	if d.acknowledge == nil {
		tell("Envoy 2/2 acknowledged")
		return nil
	}
	return d.acknowledge(ctx, tell)
}

// pinDraft is what `pin` makes of svc/api.
func pinDraft() *fakeDraft {
	return &fakeDraft{
		port: port("api"),
		show: "NEW btlspolicy/api in namespace shop\n" +
			"  + target     svc/api port https\n" +
			"  + hostname   api.shop.svc\n\n" +
			"This is trust on first use: whoever answers now is trusted from now on. The pin breaks when\n" +
			"an endpoint gets a new key.\n",
		difference: "--- btlspolicy/api\n+++ btlspolicy/api\n@@ -1,3 +1,4 @@\n spec:\n   options:\n" +
			"-    backendtls.dev/pins: spki-sha256:old\n+    backendtls.dev/pins: spki-sha256:new\n",
		ask: session.Confirmation{Question: "Write btlspolicy/api?"},
	}
}

// unlike is a certificate with another key than certificate makes.
func unlike(subject string, days int) *cliv1alpha1.Certificate {
	c := certificate(subject, days)
	c.SPKISHA256 = "spki-sha256:" + strings.Repeat("z", 42-len(subject)) + subject + "A="
	c.CertSHA256 = "cert-sha256:" + strings.Repeat("1b", 32)
	return c
}

// answering are endpoints of svc/api:443 that serve these certificates, one each.
func answering(certificates ...*cliv1alpha1.Certificate) []cliv1alpha1.EndpointCertificate {
	var list []cliv1alpha1.EndpointCertificate
	for i, certificate := range certificates {
		item := cliv1alpha1.EndpointCertificate{
			Service: port("api"), Address: fmt.Sprintf("10.0.0.%d:8443", i+1), Pod: fmt.Sprintf("api-%d", i),
			Via: "port-forward", SNI: "api.shop.svc", ObservedAt: metav1.NewTime(noon), TLSVersion: "1.3",
		}
		if certificate == nil {
			item.Fault, item.Error = "Unreachable", "connection refused"
		} else {
			item.Chain = []cliv1alpha1.Certificate{*certificate}
		}
		list = append(list, item)
	}
	return list
}

// serving answers Fetch with these certificates.
func serving(certificates ...*cliv1alpha1.Certificate) func(
	context.Context, cliv1alpha1.PortReference, session.Progress) (session.Fetched, error) {
	return func(_ context.Context, port cliv1alpha1.PortReference, _ session.Progress) (session.Fetched, error) {
		return session.Fetched{Service: port, At: noon, Endpoints: answering(certificates...)}, nil
	}
}

// judged is what Verify finds of svc/api.
func judged(path cliv1alpha1.Path) func(
	context.Context, cliv1alpha1.PortReference, session.Progress) (session.Probed, error) {
	return func(_ context.Context, port cliv1alpha1.PortReference, _ session.Progress) (session.Probed, error) {
		return session.Probed{
			Service: port, At: noon, Paths: []cliv1alpha1.Path{path},
			Verification: cliv1alpha1.Verification{Service: port, Verdict: path.Verdict, Endpoints: path.Endpoints},
		}, nil
	}
}

// flowing drives a flow that was opened over the list.
func flowing(
	t *testing.T, service *fake, width, height int, open func(*desk, cliv1alpha1.PortReference) screen,
) *driver {
	t.Helper()
	d := drive(t, service, width, height)
	d.run(d.app.insert(1, open(d.app.desk, port("api"))))
	return d
}

// pictured compares what the screen on top shows, without the frame around it,
// with testdata/NAME.txt. UPDATE_GOLDEN=1 writes the file.
func (d *driver) pictured(name string) {
	d.t.Helper()
	const around = 2
	d.fits(d.width, d.height-around)
	lines := strings.Split(ansi.Strip(d.app.top().View(d.width, d.height-around)), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	shown := strings.Join(lines, "\n") + "\n"
	file := filepath.Join("testdata", filepath.FromSlash(name)+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(shown), 0o644)); err != nil {
			d.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || shown != string(want) {
		d.t.Errorf("%s (UPDATE_GOLDEN=1 writes it): got\n%s\nwant\n%s", file, shown, want)
	}
}
