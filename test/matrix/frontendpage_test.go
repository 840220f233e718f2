package matrix_test

import (
	"fmt"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backendtls/backendtls/internal/envoy"
)

// frontendPage is docs/frontend-matrix.md.
type frontendPage struct {
	visitors []*visitor
	verdicts map[*visitor]map[string]string
	claims   []claim
	filters  int
}

const frontendIntro = `# The frontend matrix

What becomes of a client by the certificate that it presents, at a Gateway with ` + "`spec.tls.frontend`" + `
([frontend.md](frontend.md)). As in the [verification matrix](verification-matrix.md) nothing here was written by hand:
the Gateway goes through the operator's own code to a real Envoy 1.40, clients ask it, and a backend says what it was
sent. ` + "`make test`" + ` does it all again and fails if a cell has changed.

## Who gets in, and what the backend is told

| | means |
|---|---|
| true, false | the request reaches the backend with that value of ` + "`x-client-cert-verified`" + `, once |
| refused | the TLS handshake fails |

Each cell was asked eight times, with one outcome: in TLS 1.2 and 1.3, over HTTP/1.1 and HTTP/2, on a first connection
and on one that offers the session of the first. The second is a full handshake too: Envoy resumes no session there, and
at a listener that asks for no certificate it resumes both kinds, which shows that the attempts are attempts. With each
answer ` + "`x-forwarded-client-cert`" + ` has exactly Hash, Cert and Chain of the certificate that was presented, whether it
is verified or not, and is absent without one.

`

const frontendClaims = `
## What a client says of itself

A client that sends one of the two headers itself, at four listeners: HTTP, HTTPS without client certificates, and
HTTPS in both modes. *dropped*: the backend gets what Envoy says, or nothing where Envoy says nothing; *refused*: the
request is, with a 400 in HTTP/1.1 and a reset stream in HTTP/2, as every header with an underscore is. (Where
underscores are admitted for the purpose of the test, those headers are dropped as well.)

`

const frontendFilters = `
## What a route says of a client

A RequestHeaderModifier that sets, adds or removes one of the two headers, with any of these spellings, makes its route
Accepted=False with the reason UnsupportedValue, and its requests get a 500: %d filters, each on a route of its own.
`

func (p frontendPage) text() string {
	var text strings.Builder
	text.WriteString(frontendIntro)
	lines := [][]string{{"certificate", "AllowValidOnly", "AllowInsecureFallback"}}
	list := [][]string{{"certificate", "is"}}
	for _, v := range p.visitors {
		lines = append(lines, []string{v.title, p.verdicts[v]["AllowValidOnly"], p.verdicts[v]["AllowInsecureFallback"]})
		list = append(list, []string{v.title, v.meaning})
	}
	writeTable(&text, lines)
	text.WriteString("\n")
	writeTable(&text, list)
	text.WriteString(frontendClaims)
	claimed := [][]string{{"sent", "spellings", "becomes"}}
	for _, c := range p.claims {
		claimed = append(claimed, []string{c.title, fmt.Sprint(len(c.sent)), c.want})
	}
	writeTable(&text, claimed)
	fmt.Fprintf(&text, frontendFilters, p.filters)
	return text.String()
}

// admitUnderscores lets headers with underscores through to what comes behind.
func admitUnderscores(t *testing.T, resources *envoy.Resources) {
	t.Helper()
	changed := 0
	for _, listener := range resources.Listeners {
		for _, chain := range listener.GetFilterChains() {
			for _, filter := range chain.GetFilters() {
				manager := &hcmv3.HttpConnectionManager{}
				if !filter.GetTypedConfig().MessageIs(manager) {
					continue
				}
				if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
					t.Fatal(err)
				}
				manager.CommonHttpProtocolOptions.HeadersWithUnderscoresAction = corev3.HttpProtocolOptions_ALLOW
				packed, err := anypb.New(manager)
				if err != nil {
					t.Fatal(err)
				}
				filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
				changed++
			}
		}
	}
	if changed == 0 {
		t.Fatal("there is no connection manager")
	}
}
