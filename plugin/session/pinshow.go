package session

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/backendtls/backendtls/internal/model"
	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/view"
)

// show says what was found, what would change, what that means and when it
// ends.
func (p *pinDraft) show(shown *view.Change) error {
	p.served(shown)
	if p.pinning.KeyChange {
		p.keyChange(shown)
	}
	if !p.plan.Changes() {
		shown.Say("btlspolicy/%s has just that already: nothing is to be written.", p.plan.Policy())
		return nil
	}
	if err := p.plan.changed(shown); err != nil {
		return err
	}
	p.dropped(shown)
	p.consequences(shown)
	shown.Say("This is trust on first use: whoever answers now is trusted from now on. %s", p.breaks())
	p.advise(shown)
	return nil
}

// served describes the live certificates, port by port.
func (p *pinDraft) served(shown *view.Change) {
	assessor := p.assessor(&p.seen.Asked)
	for _, port := range p.seen.Ports {
		items := assessor.Certificates([]collect.Port{port}, p.seen.Via)
		shown.Served(items, func(leaf cliv1alpha1.Certificate) string {
			if p.request.Form == edit.FormCertificate || p.request.Form == edit.FormLeaf {
				return leaf.CertSHA256
			}
			return leaf.SPKISHA256
		})
	}
}

// keyChange shows what is pinned and what would be.
func (p *pinDraft) keyChange(shown *view.Change) {
	if p.current().Differs(p.seen.live) {
		shown.KeyChange(p.pinned(), p.pins())
		return
	}
	shown.Say("KEY CHANGE: what is pinned is served, and not among what is chosen.")
	for _, one := range p.pinned() {
		shown.Item("pinned  " + one)
	}
	for _, one := range p.pins() {
		shown.Item("chosen  " + one)
	}
}

// dropped names the pins that go because no endpoint serves them: the next key may
// be among them. A key change shows them as it is.
func (p *pinDraft) dropped(shown *view.Change) {
	if p.pinning.KeyChange || p.request.Form == edit.FormCA {
		return
	}
	var gone []string
	for _, one := range edit.Listed(p.plan.policy) {
		served := slices.ContainsFunc(p.seen.live, func(live edit.Live) bool { return one.Matches(live.Chain[0]) })
		if !served && !slices.Contains(p.pinning.New, one) {
			gone = append(gone, one.String())
		}
	}
	if len(gone) > 0 {
		shown.Say("What no endpoint serves goes: %s. If that is the next key, keep it with --and-next FILE.",
			strings.Join(gone, " and "))
	}
}

// pinned is what is pinned now, as the policy says it where it cannot be read.
func (p *pinDraft) pinned() []string {
	current := p.current()
	list := make([]string, len(current.Pins))
	for i, one := range current.Pins {
		list[i] = one.String()
	}
	if current.Unread {
		list = append(list, "something that cannot be read: "+edit.Unread(p.policy))
	}
	return list
}

// pins are those of the endpoints that are pinned.
func (p *pinDraft) pins() []string {
	var list []string
	for _, one := range p.live {
		if text := edit.PinOf(p.request.Form, one.Chain[0]).String(); !slices.Contains(list, text) {
			list = append(list, text)
		}
	}
	return list
}

// mode is the one that is, or may come, in force on a Gateway; Standard if none
// is.
func (s *subject) mode() model.Mode {
	for _, port := range s.ports {
		for _, path := range port.Paths {
			if path.Policy == nil {
				continue
			}
			switch path.Policy.State {
			case model.ModeActive, model.ModeAnnounced, model.ModeNotStarted:
				return path.Policy.Requested
			case model.ModeNone, model.ModeExpired, model.ModeRefused:
			}
		}
	}
	return model.Standard
}

// consequences says who will not be served all the same.
func (p *pinDraft) consequences(shown *view.Change) {
	for _, fault := range p.faults {
		shown.Say("That alone does not help: %s", fault)
	}
	if len(p.faults) > 0 {
		return
	}
	out := p.plan.foretell(&p.seen.Asked)
	if len(out.failing) == 0 {
		return
	}
	shown.Say("Even so, %d of %s would not pass:", len(out.failing), endpoints(out.asked))
	for _, line := range out.failing {
		shown.Item(line)
	}
}

// breaks says when the pin stops matching.
func (p *pinDraft) breaks() string {
	date := p.pinning.Breaks.UTC().Format(time.DateOnly)
	due := "is due by " + date
	if !p.pinning.Breaks.After(p.world.Snapshot.Now) {
		due = "has been due since " + date
	}
	switch p.request.Form {
	case edit.FormCA:
		return "It breaks when the endpoints get certificates of another CA."
	case edit.FormSPKI:
		return fmt.Sprintf("The pin breaks when an endpoint gets a new key, which many issuers make at every renewal; "+
			"the next one %s. Before that, add the next key with --and-next.", due)
	default:
		return fmt.Sprintf("The pin breaks at the next renewal, which %s. "+
			"Before that, add the next certificate with --and-next.", due)
	}
}

// advise names what is easily forgotten.
func (p *pinDraft) advise(shown *view.Change) {
	if mode := p.mode(); mode == model.InsecureSkipVerification {
		shown.Say("Mode %s is asked for: pins do not count while it is in force. `skip-verify off` ends it.", mode)
	}
	if p.pinning.Partial {
		shown.Say("The CA that is presented was issued by another one. Envoy accepts that; for implementations that do " +
			"not, put the root into the ConfigMap.")
	}
	hostname := p.plan.policy.Spec.Validation.Hostname
	if sent := p.request.ServerName; sent != "" && sent != string(hostname) {
		shown.Say("The endpoints were asked with server name %s, but Envoy sends %s: what they serve for that may differ.",
			sent, hostname)
	}
	if configMap, err := p.configMap(p.plan); err == nil && edit.Ours(configMap) && !edit.Refers(p.plan.after) {
		shown.Say("configmap/%s is not used any more and can be removed.", configMap.Name)
	}
	if p.plan.created && !p.world.Live() && p.world.Directory() != p.world.Source {
		shown.Say("With -f %s nobody reads %s: use -f %s from now on.",
			p.world.Source, p.plan.Written(), p.world.Directory())
	}
	if p.request.Form == edit.FormCA {
		p.sayElsewhere(shown)
	}
	p.warnOfPlaintext(shown)
}

// warnOfPlaintext names the line that keeps the ports from plaintext even
// without a policy.
func (p *pinDraft) warnOfPlaintext(shown *view.Change) {
	ports := p.exposed()
	if len(ports) == 0 {
		return
	}
	place, here := serviceName(p.port), "in a cluster this patch does that"
	if places := p.world.Set.Places(p.port.Service); len(places) > 0 {
		place += " in " + places[0].Place()
	}
	if p.world.Live() {
		here = "this patch does that"
	}
	shown.Say("So that deleting the policy can never lead to plaintext, give port %s of %s the line "+
		"`appProtocol: https`; %s. Not where GKE's own gateway serves the Service: "+
		"there the same line turns on TLS that verifies nothing.", strings.Join(ports, " and port "), place, here)
	shown.Add(p.appProtocolPatch(ports))
}
