package assess

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// modeIgnored is the state of a mode on a Gateway whose controller knows none.
const modeIgnored = "Ignored"

// other is the controller of a path that is known and not ours, "" otherwise.
func (a *Assessor) other(path model.Path) string {
	if path.Ours {
		return ""
	}
	if who := a.World.ControllerOf(path); who != gwapi.ControllerName {
		return who
	}
	return ""
}

// elsewhere is a path of another controller, which reads the standard fields of a
// policy and nothing of ours.
type elsewhere struct {
	*Assessor
	path model.Path
	who  string
	// known is what is known of the controller.
	known implementation
	// port is as the controller reads it: its policy has no options of ours.
	port collect.Port
	// written is the policy as it is, nil without one.
	written *gatewayv1.BackendTLSPolicy
	// trust is what the controller verifies by, nil where that is not known.
	trust      *model.Trust
	conditions []cliv1alpha1.Condition
	neighbours []collect.Neighbour
	// unread says what may change the verdict and could not be read.
	unread string
}

// elsewhere looks at the path as its controller does.
func (a *Assessor) elsewhere(port collect.Port, path model.Path, who string) *elsewhere {
	e := &elsewhere{
		Assessor: a, path: path, who: who, known: implementationOf(who), port: port,
		neighbours: a.World.Neighbours(path.Gateway, port), unread: a.World.UnreadNeighbours(who),
	}
	e.port.Strict, e.port.Policy = port.Elsewhere, nil
	if port.Elsewhere.Policy == nil {
		return e
	}
	e.written, _ = a.World.Snapshot.TLSPolicies.Get(port.Elsewhere.Policy.Policy.NamespacedName())
	e.trust = port.Elsewhere.Policy.Trust
	if e.written == nil {
		return e
	}
	e.port.Policy = e.written.DeepCopy()
	e.port.Policy.Spec.Options = nil
	if e.trust != nil && e.nameless() {
		nameless := *e.trust
		nameless.Names = nil
		e.trust = &nameless
	}
	return e
}

// describe fills in what there is to say about the path.
func (e *elsewhere) describe(described *cliv1alpha1.Path) {
	if e.written != nil {
		var note string
		e.conditions, note = e.theirs(e.written, e.path, e.who)
		described.Conditions = e.conditions
		described.Policy = e.policy(note)
	}
	described.Endpoints = e.endpoints(e.port, e.trust, nil)
	described.Verdict = e.verdict(described.Endpoints)
	described.Verdict.Fix = e.fix(described.Verdict, described.Endpoints)
}

// policy is what is left of the policy there.
func (e *elsewhere) policy(status string) *cliv1alpha1.Policy {
	described := e.Assessor.policy(e.port.Elsewhere.Policy, e.port.Policy, e.trust)
	described.IgnoredOptions = nil
	ours := false
	for _, key := range slices.Sorted(maps.Keys(e.written.Spec.Options)) {
		ours = ours || strings.HasPrefix(string(key), gwapi.Prefix)
		if !e.reads(string(key)) {
			described.IgnoredOptions = append(described.IgnoredOptions, untrusted.Text(string(key)))
		}
	}
	e.mode(&described.Mode)
	notes := []string{status}
	if ours {
		notes = append(notes, e.known.name+" ignores every option under backendtls.dev and verifies by spec.validation alone"+
			e.lost())
	}
	described.Notes = append(described.Notes, e.peculiarities()...)
	for _, note := range notes {
		if note != "" {
			described.Notes = append(described.Notes, untrusted.Text(note))
		}
	}
	if e.port.Elsewhere.FaultReason == unseenReason {
		described.Unseen = untrusted.Text(e.port.Elsewhere.Fault)
	}
	return described
}

// reads says whether the controller reads an option.
func (e *elsewhere) reads(key string) bool {
	return e.known.options != "" && strings.HasPrefix(key, e.known.options)
}

// lost says which promises of the policy are not kept there.
func (e *elsewhere) lost() string {
	var list []string
	if option(e.written, "pins") != "" || option(e.written, "trusted-certificates") != "" {
		list = append(list, "what is pinned is not enforced")
	}
	if mode := option(e.written, "mode"); mode != "" && mode != string(model.Standard) {
		list = append(list, "verification stays strict")
	}
	for _, promise := range [...]struct{ key, lost string }{
		{"crl", "no revocation list is asked"},
		{"client-certificate", "the client certificate is not sent"},
		{"min-tls-version", "the least TLS version is its own"},
	} {
		if option(e.written, promise.key) != "" {
			list = append(list, promise.lost)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ": " + strings.Join(list, ", ")
}

// mode says that a mode is asked for, and not in force.
func (e *elsewhere) mode(mode *cliv1alpha1.Mode) {
	asked := option(e.written, "mode")
	if asked == "" || asked == string(model.Standard) {
		return
	}
	mode.Requested, mode.State = untrusted.Text(asked), modeIgnored
	mode.Reason = untrusted.Text(option(e.written, "mode-reason"))
	for name, field := range map[string]**metav1.Time{"mode-since": &mode.Since, "mode-until": &mode.Until} {
		if at, err := time.Parse(time.RFC3339, option(e.written, name)); err == nil {
			*field = optionalTime(at)
		}
	}
}

// peculiarities are what is different there about this policy.
func (e *elsewhere) peculiarities() []string {
	var list []string
	validation := e.written.Spec.Validation
	if e.nameless() {
		list = append(list, e.known.name+" compares no name of the certificate: it sends the hostname, "+
			"and checks names only where subjectAltNames are given")
	}
	if e.usesFirstOnly() {
		list = append(list, fmt.Sprintf("%s uses the first of the %d caCertificateRefs only",
			e.known.name, len(validation.CACertificateRefs)))
	}
	for _, neighbour := range e.neighbours {
		list = append(list, untrusted.Text(neighbour.String()+" also configures TLS to this Service"))
	}
	return list
}

// nameless says whether the controller compares no name for this policy.
func (e *elsewhere) nameless() bool {
	return e.known.unnamed && len(e.written.Spec.Validation.SubjectAltNames) == 0
}

func (e *elsewhere) usesFirstOnly() bool {
	return e.known.single && e.written != nil && len(e.written.Spec.Validation.CACertificateRefs) > 1
}

// fix is the way out there: what works with every implementation.
func (e *elsewhere) fix(verdict cliv1alpha1.Verdict, endpoints []cliv1alpha1.Endpoint) *cliv1alpha1.Fix {
	portable := e.command("pin", e.port, "--form", "ca", "--write")
	switch verdict.Result {
	case Plaintext:
		if !slices.ContainsFunc(endpoints, func(e cliv1alpha1.Endpoint) bool { return e.Certificate != nil }) {
			return nil
		}
		return &cliv1alpha1.Fix{
			Command: portable,
			Message: "the endpoints do speak TLS: it creates a policy of standard fields that trusts their CA",
		}
	case Fails, Mixed:
		return e.fixFailing(endpoints, portable)
	default:
		return nil
	}
}
