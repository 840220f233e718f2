package assess

import (
	"net/http"
	"strings"
)

// implementation is what is known of another implementation of Gateway API, from
// its source and documentation.
type implementation struct {
	// controller is its controllerName, or with a trailing slash what all of its
	// controllerNames begin with.
	controller string
	// name is how people call it.
	name string
	// judged says that its data plane is an Envoy that verifies by spec.validation
	// as this project's does, so that what an endpoint shows can be judged.
	judged bool
	// unnamed says that it compares no name of the certificate unless
	// subjectAltNames are given (istio/istio#35436).
	unnamed bool
	// single says that of several caCertificateRefs it uses the first one only.
	single bool
	// oddWellKnown says that it verifies by the system's roots whatever
	// wellKnownCACertificates names.
	oddWellKnown bool
	// refusal is the HTTP status of requests whose policy it does not accept, 0
	// where that is not known.
	refusal int
	// options begins the keys of spec.options that it reads, "" if it reads none.
	options string
	// precedence says which one wins, where an object of its own configures TLS to
	// a Service that a policy targets.
	precedence string
	// alone says what it speaks to a Service without a policy, "" where that is not
	// known.
	alone string
}

// plaintext is what most implementations speak to a Service without a policy.
const plaintext = "it speaks plaintext to the Service"

// implementations are the known ones; the first that matches counts.
func implementations() []implementation {
	return []implementation{
		{
			controller: "gateway.envoyproxy.io/", name: "Envoy Gateway", judged: true,
			refusal: http.StatusInternalServerError, alone: plaintext,
		},
		{
			controller: "istio.io/", name: "Istio", judged: true, unnamed: true, single: true, oddWellKnown: true,
			refusal:    http.StatusServiceUnavailable,
			precedence: "Istio lets the DestinationRule win, and the policy fill in what that leaves unset",
			alone:      "whether Istio speaks TLS to it depends on automatic mTLS and on DestinationRules",
		},
		{
			controller: "kgateway.dev/kgateway", name: "kgateway", judged: true, single: true,
			options:    "kgateway.dev/",
			precedence: "which one wins differs between versions of kgateway",
		},
		{
			controller: "gateway.nginx.org/", name: "NGINX Gateway Fabric",
			refusal: http.StatusInternalServerError, alone: plaintext,
		},
		{
			controller: "traefik.io/", name: "Traefik", oddWellKnown: true,
			refusal: http.StatusInternalServerError,
		},
		{controller: "io.cilium/", name: "Cilium"},
		{
			controller: "networking.gke.io/", name: "GKE",
			alone: "with appProtocol HTTPS or HTTP2 it speaks TLS and verifies nothing, else plaintext",
		},
		{
			controller: "projectcontour.io/", name: "Contour",
			alone: "with the annotation projectcontour.io/upstream-protocol.tls it speaks TLS and verifies nothing, " +
				"else plaintext",
		},
		{controller: "agentgateway.dev/", name: "agentgateway"},
	}
}

// implementationOf is what is known of a controller; only its name, where nothing
// is.
func implementationOf(controller string) implementation {
	for _, known := range implementations() {
		if known.controller == controller || strings.HasSuffix(known.controller, "/") &&
			strings.HasPrefix(controller, known.controller) {
			return known
		}
	}
	return implementation{controller: controller, name: controller}
}

// Known is what is known of another implementation.
type Known struct {
	// Name is how people call it, its controllerName where nothing is known.
	Name string
	// Nameless says that it compares no name of a certificate unless
	// subjectAltNames are given.
	Nameless bool
}

// KnownAs is what is known of the implementation whose controllerName that is.
func KnownAs(controller string) Known {
	known := implementationOf(controller)
	return Known{Name: known.name, Nameless: known.unnamed}
}
