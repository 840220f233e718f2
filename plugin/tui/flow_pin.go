package tui

import (
	"context"
	"errors"
	"slices"
	"strings"

	tea "charm.land/bubbletea/v2"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// pinning is the flow of `pin`: what the endpoints serve, which of it to pin and
// how, the change, and what became of it.
type pinning struct {
	*dialog

	// form and left out are kept when the flow begins again: keys that were
	// left out by their SPKI fingerprints.
	form    edit.Form
	leftOut map[string]bool

	seen session.Fetched
	keys []servedKey
	pins []session.LivePin
}

// newPin is the flow for a port.
func newPin(d *desk, port cliv1alpha1.PortReference) screen {
	p := &pinning{dialog: newDialog(d, "pin", port), form: edit.FormSPKI, leftOut: map[string]bool{}}
	p.start = p.fetch
	return p.dialog
}

// fetch asks every endpoint.
func (p *pinning) fetch() tea.Cmd {
	return run(p.dialog, "Asking the endpoints of "+p.service()+" for their certificates", p.leave,
		func(ctx context.Context, progress session.Progress) (session.Fetched, error) {
			return p.desk.service.Fetch(ctx, p.port, progress)
		},
		func(seen session.Fetched, err error) tea.Cmd {
			if err != nil {
				return p.refuse(err, "out of this", p.leave)
			}
			p.seen, p.keys = seen, servedKeys(seen.Endpoints)
			p.pins = p.desk.service.Pins(p.port, seen)
			if len(p.keys) == 0 {
				return p.refuse(nothingServed(seen.Endpoints), "out of this", p.leave)
			}
			return p.choose()
		})
}

// nothingServed says why there is nothing to pin, endpoint by endpoint.
func nothingServed(endpoints []cliv1alpha1.EndpointCertificate) error {
	lines := []string{"no endpoint presented a certificate: there is nothing to pin"}
	for _, endpoint := range endpoints {
		lines = append(lines, "  "+member(endpoint.Address, endpoint.Pod)+": "+endpoint.Fault+" "+endpoint.Error)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// choose goes to the choice of keys and form.
func (p *pinning) choose() tea.Cmd {
	p.step = &keyChoice{flow: p}
	return nil
}

// draft works out the change for what is chosen.
func (p *pinning) draft() tea.Cmd {
	ask := session.PinAsk{Service: p.port, Form: p.form, Seen: p.seen}
	if chosen := p.chosen(); len(chosen) < len(p.keys) {
		for _, one := range chosen {
			ask.Keys = append(ask.Keys, one.spki)
		}
	}
	return p.propose(p.choose, func(ctx context.Context) (session.Draft, error) {
		return p.desk.service.Pin(ctx, ask)
	})
}

// chosen are the keys that are not left out.
func (p *pinning) chosen() []servedKey {
	return slices.DeleteFunc(slices.Clone(p.keys), func(one servedKey) bool { return p.leftOut[one.spki] })
}

// keyChange says whether something is pinned and nobody serves it.
func (p *pinning) keyChange() bool {
	live := func(pin session.LivePin) bool { return pin.State == session.PinLive }
	return len(p.pins) > 0 && !slices.ContainsFunc(p.pins, live)
}

// becoming are the pins that there will be; none for the form ca.
func (p *pinning) becoming() []string {
	var list []string
	for _, one := range p.chosen() {
		list = append(list, one.pins(p.form)...)
	}
	return list
}

// going are the pins that there will not be any more.
func (p *pinning) going() []session.LivePin {
	stay := p.becoming()
	return slices.DeleteFunc(slices.Clone(p.pins), func(pin session.LivePin) bool {
		return slices.Contains(stay, pin.Pin)
	})
}

// servedKey is a key that endpoints serve, with the certificates that hold it.
type servedKey struct {
	spki   string
	leaves []servedLeaf
	count  int
}

// servedLeaf is a certificate and who serves it.
type servedLeaf struct {
	certificate cliv1alpha1.Certificate
	members     []string
}

// servedKeys groups endpoints by key and certificate, in the order in which they
// are first met.
func servedKeys(endpoints []cliv1alpha1.EndpointCertificate) []servedKey {
	var list []servedKey
	for _, endpoint := range endpoints {
		if len(endpoint.Chain) == 0 {
			continue
		}
		leaf := endpoint.Chain[0]
		i := slices.IndexFunc(list, func(one servedKey) bool { return one.spki == leaf.SPKISHA256 })
		if i < 0 {
			i = len(list)
			list = append(list, servedKey{spki: leaf.SPKISHA256})
		}
		list[i].add(leaf, member(endpoint.Address, endpoint.Pod))
	}
	return list
}

func (k *servedKey) add(leaf cliv1alpha1.Certificate, member string) {
	k.count++
	i := slices.IndexFunc(k.leaves, func(one servedLeaf) bool { return one.certificate.CertSHA256 == leaf.CertSHA256 })
	if i < 0 {
		i = len(k.leaves)
		k.leaves = append(k.leaves, servedLeaf{certificate: leaf})
	}
	k.leaves[i].members = append(k.leaves[i].members, member)
}

// pins are what a form pins of it.
func (k servedKey) pins(form edit.Form) []string {
	switch form {
	case edit.FormSPKI:
		return []string{k.spki}
	case edit.FormCertificate, edit.FormLeaf:
		var list []string
		for _, leaf := range k.leaves {
			list = append(list, leaf.certificate.CertSHA256)
		}
		return list
	default:
		return nil
	}
}

// is says whether a pin, of either kind, is of this key.
func (k servedKey) is(pin string) bool {
	return pin == k.spki || slices.ContainsFunc(k.leaves, func(leaf servedLeaf) bool {
		return leaf.certificate.CertSHA256 == pin
	})
}
