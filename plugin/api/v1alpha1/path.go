package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Path is one way that requests take to a port of a Service, or that port
// alone where no route leads to it.
type Path struct {
	// Service is where the path ends.
	Service PortReference `json:"service"`
	// Gateway is where requests come in; absent where no route leads here.
	Gateway *ObjectReference `json:"gateway,omitempty"`
	// Listener is the listener of the Gateway.
	Listener string `json:"listener,omitempty"`
	// ListenerFault is why the listener serves nobody, whatever the verdict about
	// the backend is, as the operator's status says it.
	ListenerFault string `json:"listenerFault,omitempty"`
	// Controller is the controllerName of the Gateway's class.
	Controller string `json:"controller,omitempty"`
	// Ours says whether backendtls programs this Gateway. Another controller
	// ignores the options under backendtls.dev: pins and modes are not enforced.
	Ours bool `json:"ours"`
	// Route is the route.
	Route *ObjectReference `json:"route,omitempty"`
	// Unseen says what could not be read and keeps Gateway and Route from being
	// known, where they are absent.
	Unseen string `json:"unseen,omitempty"`
	// Rule is the index of the rule in the route, from 0.
	Rule int `json:"rule"`
	// Hostnames are what requests ask for; absent for every hostname.
	Hostnames []string `json:"hostnames,omitempty"`
	// Mirror says that the Service gets copies of requests, whose answers nobody
	// sees: where the verdict is bad, no copy is sent, and no request fails.
	Mirror bool `json:"mirror,omitempty"`
	// Policy is what decides about TLS; absent where no policy targets the port.
	Policy *Policy `json:"policy,omitempty"`
	// Verdict is what a request on this path gets.
	Verdict Verdict `json:"verdict"`
	// Endpoints are what Envoy sends requests to.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// Conditions are the policy's on this Gateway.
	Conditions []Condition `json:"conditions,omitempty"`
}

// Policy is what one BackendTLSPolicy decides about a port on a Gateway.
type Policy struct {
	// Namespace is the policy's namespace.
	Namespace string `json:"namespace"`
	// Name is the policy's name.
	Name string `json:"name"`
	// Mode is the verification mode.
	Mode Mode `json:"mode"`
	// Trust is what is enforced now; absent where the policy is refused, or where
	// it is not known.
	Trust *Trust `json:"trust,omitempty"`
	// Unseen says what could not be read and keeps Trust from being known.
	Unseen string `json:"unseen,omitempty"`
	// IgnoredOptions are the keys in spec.options that belong to others.
	IgnoredOptions []string `json:"ignoredOptions,omitempty"`
	// Notes are peculiarities of the policy that are easily missed.
	Notes []string `json:"notes,omitempty"`
}

// Mode is where the verification mode of a policy stands.
type Mode struct {
	// Requested is what spec.options asks for: Standard, InsecureAllowExpired,
	// InsecureSkipOnlySANVerification or InsecureSkipVerification.
	Requested string `json:"requested"`
	// Enforced is what is in force; absent where the policy is refused.
	Enforced string `json:"enforced,omitempty"`
	// State is where a requested insecure mode stands: Announced (allowed,
	// waiting until status shows it), Active, NotStarted, Expired, Refused, or
	// Ignored where another controller knows no modes.
	State string `json:"state,omitempty"`
	// Since is the mode's beginning.
	Since *metav1.Time `json:"since,omitempty"`
	// Until is the mode's end; absent for one without.
	Until *metav1.Time `json:"until,omitempty"`
	// SecondsLeft is the time until Until for a mode that is in force.
	SecondsLeft *int64 `json:"secondsLeft,omitempty"`
	// Reason is why, in the words of whoever set the mode.
	Reason string `json:"reason,omitempty"`
}

// Trust is the checks that a backend's certificate must pass.
type Trust struct {
	// SNI is the server name that Envoy sends.
	SNI string `json:"sni,omitempty"`
	// Authorities are where the trusted certificates come from: references, or
	// System.
	Authorities []string `json:"authorities,omitempty"`
	// Anchors is the number of trusted certificates; 0 where the chain is not
	// checked, and then dates and names are not either.
	Anchors int `json:"anchors"`
	// IgnoreTime says that validity times are not checked.
	IgnoreTime bool `json:"ignoreTime,omitempty"`
	// Names are the names of which the certificate must carry one, as KIND:NAME.
	Names []string `json:"names,omitempty"`
	// Pins are the fingerprints of which the certificate must match one.
	Pins []string `json:"pins,omitempty"`
	// Digest identifies all of it, the certificates of Authorities and what is not
	// told here included: equal digests accept the same. It is for comparisons
	// within the program, and never printed.
	Digest string `json:"-"`
}

// Verdict is the short answer.
type Verdict struct {
	// Result is Passes, Fails, Mixed (some endpoints fail), Refused (the policy
	// or the path is invalid: 500), Plaintext, Passthrough (the client's own TLS reaches
	// the Service, no policy decides), NoEndpoints, Unreachable (whoever asked, the
	// operator or this program, got no answer; without a status, Envoy may get one),
	// NotProbed, Foreign (another controller decides, and how is not known), Unseen
	// (what it depends on could not be read, and the operator's status does not say)
	// or Gone (with --watch: it was there before).
	Result string `json:"result"`
	// Status is the HTTP status that clients get because of it: 500 or 503;
	// absent where nothing stands in the way, or nobody knows, and where there are
	// no requests: the connections of a TLSRoute are closed, and nothing is
	// mirrored.
	Status int `json:"status,omitempty"`
	// Reason is a word for programs, such as UntrustedIssuer.
	Reason string `json:"reason,omitempty"`
	// Message says why, in plain words.
	Message string `json:"message,omitempty"`
	// Strict is what strict verification would say while an insecure mode is in
	// force: Passes, Fails, Mixed, Unreachable or NotProbed.
	Strict string `json:"strict,omitempty"`
	// Fix is what would make it pass.
	Fix *Fix `json:"fix,omitempty"`
}

// Fix is a way out of a verdict.
type Fix struct {
	// Command does it.
	Command string `json:"command,omitempty"`
	// YAML does it: the fields of an object to change.
	YAML string `json:"yaml,omitempty"`
	// Message says what else there is to know or to do.
	Message string `json:"message,omitempty"`
}

// Condition is a condition of the policy on this path's Gateway.
type Condition struct {
	// Type is Accepted, ResolvedRefs, Programmed, SecurityDegraded,
	// BackendsVerified, or what another controller writes.
	Type string `json:"type"`
	// Status is True, False or Unknown.
	Status string `json:"status"`
	// Reason is the condition's reason.
	Reason string `json:"reason"`
	// Message is the condition's message.
	Message string `json:"message,omitempty"`
	// Source is Operator for what the operator wrote in status about this
	// generation, Computed for what the same rules say about the objects as they
	// are read now. Both appear where they differ. Controller for what another
	// controller wrote, who is the path's.
	Source string `json:"source"`
	// Outdated says that another controller wrote it about another generation of
	// the policy.
	Outdated bool `json:"outdated,omitempty"`
	// LastTransitionTime is when whoever wrote it last changed Status.
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}
