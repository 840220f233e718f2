package edit

import (
	"bytes"
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

// An option's value has at most 4096 characters; these many pins fit with
// room for people to add comments' worth of their own.
const (
	maxSPKI         = 60
	maxCertificates = 53
)

// distinctRefused is the number of endpoints from which on a key of its own
// for each means that every new pod will bring another one.
const distinctRefused = 3

// Live is what one endpoint serves.
type Live struct {
	// Endpoint is its address or pod, for people.
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
	// Current are the leaf pins that the policy enforces now, or would enforce
	// without its mode; empty where it has none.
	Current []pin.Pin
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
	// Old are the pins that were in force, New the ones that will be. For
	// FormCA New is empty.
	Old, New []pin.Pin
	// KeyChange says that pins were in force and no endpoint matches any of
	// them: whoever answers now is not who was pinned.
	KeyChange bool
	// Breaks is when the first of the certificates expires: with a new
	// certificate of a new key, the latest time at which the pin breaks.
	Breaks time.Time
}

// Pin is the edit that makes the policy trust exactly what the endpoints serve
// now, and Next.
func Pin(policy *gatewayv1.BackendTLSPolicy, request Request) (Pinning, error) {
	if len(request.Live) == 0 {
		return Pinning{}, errors.New("no endpoint presented a certificate, there is nothing to pin")
	}
	p := Pinning{Old: request.Current, KeyChange: keyChange(request), Breaks: breaks(request.Live)}
	var err error
	switch request.Form {
	case FormSPKI, FormCertificate:
		err = p.pins(policy, request)
	case FormLeaf:
		err = p.leaf(policy, request)
	case FormCA:
		err = p.ca(policy, request)
	default:
		err = fmt.Errorf("--form %q: must be one of %s", request.Form, formNames())
	}
	return p, err
}

func formNames() string {
	names := make([]string, len(Forms))
	for i, form := range Forms {
		names[i] = string(form)
	}
	return strings.Join(names, ", ")
}

// pins writes the pins themselves.
func (p *Pinning) pins(policy *gatewayv1.BackendTLSPolicy, request Request) error {
	if err := distinctKeys(request.Live); err != nil {
		return err
	}
	for _, live := range request.Live {
		p.New = append(p.New, ofForm(request.Form, live.Chain[0]))
	}
	for _, next := range request.Next {
		switch {
		case request.Form == FormSPKI:
			p.New = append(p.New, next.Key)
		case next.Certificate != nil:
			p.New = append(p.New, pin.OfCertificate(next.Certificate))
		default:
			return errors.New("--and-next: --form certificate needs the next certificate, not only its key: " +
				"use --form spki, or give the certificate")
		}
	}
	p.New = sorted(p.New)
	limit := maxSPKI
	if request.Form == FormCertificate {
		limit = maxCertificates
	}
	if len(p.New) > limit {
		return fmt.Errorf("%d different pins, at most %d fit into one policy: "+
			"a new pod will not match; use --form ca", len(p.New), limit)
	}
	texts := make([]string, len(p.New))
	for i, one := range p.New {
		texts[i] = one.String()
	}
	p.Edit.set(OptionPins, strings.Join(texts, " "))
	p.Edit.remove(OptionCertificates)
	p.only(policy)
	return nil
}

// only makes the policy trust nothing but the pins. PinnedOnly says so already.
func (p *Pinning) only(policy *gatewayv1.BackendTLSPolicy) {
	if pinnedOnly(policy) {
		p.Edit.remove(OptionPinsOnly)
		return
	}
	p.Edit.set(OptionPinsOnly, "true")
}

func ofForm(form Form, leaf *x509.Certificate) pin.Pin {
	if form == FormCertificate {
		return pin.OfCertificate(leaf)
	}
	return pin.OfKey(leaf)
}

// distinctKeys refuses endpoints that each have a key of their own.
func distinctKeys(live []Live) error {
	keys := map[pin.Pin]struct{}{}
	for _, endpoint := range live {
		keys[pin.OfKey(endpoint.Chain[0])] = struct{}{}
	}
	if len(live) >= distinctRefused && len(keys) == len(live) {
		return fmt.Errorf("each of the %d endpoints serves a key of its own: "+
			"a new pod will not match; use --form ca", len(live))
	}
	return nil
}

func keyChange(request Request) bool {
	if len(request.Current) == 0 {
		return false
	}
	return !slices.ContainsFunc(request.Live, func(live Live) bool {
		return slices.ContainsFunc(request.Current, func(known pin.Pin) bool {
			return known.Matches(live.Chain[0])
		})
	})
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

// distinct are the certificates, each once, in an order that does not depend
// on which endpoint answered first.
func distinct(certificates []*x509.Certificate) []*x509.Certificate {
	ordered := slices.Clone(certificates)
	slices.SortFunc(ordered, func(a, b *x509.Certificate) int { return bytes.Compare(a.Raw, b.Raw) })
	return slices.CompactFunc(ordered, func(a, b *x509.Certificate) bool { return a.Equal(b) })
}
