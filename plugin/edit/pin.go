package edit

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/pin"
)

// Form is what `pin` writes.
type Form string

// The forms. The first two write pins, FormLeaf the certificates themselves,
// FormCA the authority that issued them, in fields that every implementation
// of the Gateway API knows.
const (
	FormSPKI        Form = "spki"
	FormCertificate Form = "certificate"
	FormLeaf        Form = "leaf"
	FormCA          Form = "ca"
)

// Forms lists the forms, the default first.
var Forms = []Form{FormSPKI, FormCertificate, FormLeaf, FormCA}

// The value of an option has at most 4096 characters. So many pins fit with a
// blank between each.
const (
	maxSPKI         = 60
	maxCertificates = 53
)

// distinctRefused is the number of endpoints from which on a pin of its own
// for each means that every new pod will bring another one.
const distinctRefused = 3

// Live is what one endpoint serves.
type Live struct {
	// Endpoint is its address, for people.
	Endpoint string
	// Chain is what it presented, leaf first, never empty.
	Chain []*x509.Certificate
}

// Request is what to pin.
type Request struct {
	Form Form
	Live []Live
	// Next are keys to trust before any endpoint serves them (--and-next).
	Next []Next
	// Current is what the policy pins now.
	Current Current
	// ConfigMap is the live object of the name that the leaf and ca forms
	// write, nil if there is none.
	ConfigMap *corev1.ConfigMap
	Now       time.Time
}

// Next is a key that will be served later. Certificate is nil where only the
// key is known.
type Next struct {
	Key         pin.Pin
	Certificate *x509.Certificate
}

// Pinning is the outcome.
type Pinning struct {
	Edit Edit
	// ConfigMap is to be written together with the policy; nil for the forms
	// that need none.
	ConfigMap *corev1.ConfigMap
	// New are the pins that will be in force: those of what is served, in the order
	// in which the policy has them already, and then those of what is next. That is
	// how a rotation knows what is old and what is next. None for FormCA.
	New []pin.Pin
	// KeyChange says that something was pinned and no endpoint matches it:
	// whoever answers now is not who was pinned.
	KeyChange bool
	// Breaks is when the first of the certificates expires: at the latest then
	// an endpoint needs another one.
	Breaks time.Time
	// Partial says, for FormCA, that an authority was issued by another one,
	// which no endpoint presents.
	Partial bool
}

// Pin is the edit that makes the policy trust exactly what the endpoints serve
// now, and Next.
func Pin(policy *gatewayv1.BackendTLSPolicy, request Request) (Pinning, error) {
	if len(request.Live) == 0 {
		return Pinning{}, errors.New("no endpoint presented a certificate: there is nothing to pin")
	}
	p := Pinning{KeyChange: request.Current.Differs(request.Live), Breaks: breaks(request.Live)}
	var err error
	switch request.Form {
	case FormSPKI, FormCertificate:
		err = p.pins(policy, request)
	case FormLeaf:
		err = p.leaf(policy, request)
	case FormCA:
		err = p.ca(policy, request)
	default:
		err = CheckForm(request.Form)
	}
	return p, err
}

// CheckForm refuses what is no form.
func CheckForm(form Form) error {
	if slices.Contains(Forms, form) {
		return nil
	}
	return fmt.Errorf("--form is %q: want spki, certificate, leaf or ca", string(form))
}

// pins writes the pins themselves.
func (p *Pinning) pins(policy *gatewayv1.BackendTLSPolicy, request Request) error {
	if err := distinctRefusal(request); err != nil {
		return err
	}
	for _, live := range request.Live {
		p.New = append(p.New, PinOf(request.Form, live.Chain[0]))
	}
	p.New = inOrder(sorted(p.New), Listed(policy))
	for _, next := range request.Next {
		switch {
		case request.Form == FormSPKI:
			p.add(next.Key)
		case next.Certificate != nil:
			p.add(pin.OfCertificate(next.Certificate))
		default:
			return errKeyAlone(request.Form)
		}
	}
	limit := maxSPKI
	if request.Form == FormCertificate {
		limit = maxCertificates
	}
	if len(p.New) > limit {
		return fmt.Errorf("there are %d different pins, and at most %d fit into a policy: "+
			"a new pod will not match; use --form ca", len(p.New), limit)
	}
	p.Edit.set(OptionPins, join(p.New))
	p.Edit.remove(OptionCertificates)
	p.only(policy)
	return nil
}

// add adds a pin at the end, unless it is there.
func (p *Pinning) add(next pin.Pin) {
	if !slices.Contains(p.New, next) {
		p.New = append(p.New, next)
	}
}

func errKeyAlone(form Form) error {
	return fmt.Errorf("--and-next: --form %s needs the next certificate, not only its key: "+
		"give the certificate, or use --form spki", form)
}

// only makes the policy trust nothing but the pins. PinnedOnly says so already.
func (p *Pinning) only(policy *gatewayv1.BackendTLSPolicy) {
	if pinnedOnly(policy) {
		p.Edit.remove(OptionPinsOnly)
		return
	}
	p.Edit.set(OptionPinsOnly, "true")
}

// PinOf is the pin by which a form knows a leaf certificate.
func PinOf(form Form, leaf *x509.Certificate) pin.Pin {
	if form == FormCertificate || form == FormLeaf {
		return pin.OfCertificate(leaf)
	}
	return pin.OfKey(leaf)
}

// distinctRefusal refuses endpoints that have a pin of their own each.
func distinctRefusal(request Request) error {
	endpoints := map[string]struct{}{}
	pins, keys := map[pin.Pin]struct{}{}, map[pin.Pin]struct{}{}
	for _, live := range request.Live {
		endpoints[live.Endpoint] = struct{}{}
		pins[PinOf(request.Form, live.Chain[0])] = struct{}{}
		keys[pin.OfKey(live.Chain[0])] = struct{}{}
	}
	n := len(endpoints)
	switch {
	case n < distinctRefused || len(pins) < n:
		return nil
	case len(keys) < n:
		return fmt.Errorf("each of the %d endpoints serves a certificate of its own, but not a key: "+
			"a new pod will not match; use --form spki or --form ca", n)
	default:
		return fmt.Errorf("each of the %d endpoints serves a key of its own: a new pod will not match; use --form ca", n)
	}
}

func breaks(live []Live) time.Time {
	first := live[0].Chain[0].NotAfter
	for _, endpoint := range live[1:] {
		if endpoint.Chain[0].NotAfter.Before(first) {
			first = endpoint.Chain[0].NotAfter
		}
	}
	return first
}

func sorted(pins []pin.Pin) []pin.Pin {
	slices.SortFunc(pins, pin.Compare)
	return slices.Compact(pins)
}

// inOrder puts those of the pins first that are known, in the order of those.
func inOrder(pins, known []pin.Pin) []pin.Pin {
	place := func(one pin.Pin) int {
		if i := slices.Index(known, one); i >= 0 {
			return i
		}
		return len(known)
	}
	slices.SortStableFunc(pins, func(a, b pin.Pin) int { return cmp.Compare(place(a), place(b)) })
	return pins
}

func join(pins []pin.Pin) string {
	texts := make([]string, len(pins))
	for i, one := range pins {
		texts[i] = one.String()
	}
	return strings.Join(texts, " ")
}

// distinct are the certificates, each once, in an order that does not depend
// on which endpoint answered first.
func distinct(certificates []*x509.Certificate) []*x509.Certificate {
	ordered := slices.Clone(certificates)
	slices.SortFunc(ordered, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
	return slices.CompactFunc(ordered, func(a, b *x509.Certificate) bool { return a.Equal(b) })
}
