package command

import (
	"fmt"
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
func (o *pinOptions) show(s *subject, d *draft, seen *answers, pinning edit.Pinning, faults []string) error {
	shown := o.change(d)
	o.served(shown, s, seen)
	if pinning.KeyChange {
		shown.KeyChange(pinned(s), served(o.kind(), seen.live))
	}
	if !d.changes() {
		shown.Say("btlspolicy/%s has just that already: nothing is to be written.", d.policy.Name)
		return shown.Print(o.ErrOut)
	}
	if err := showChanges(shown, d); err != nil {
		return err
	}
	o.consequences(shown, d, seen, faults)
	shown.Say("This is trust on first use: whoever answers now is trusted from now on. %s",
		breaks(o.kind(), pinning, s.world.Snapshot.Now))
	o.advise(shown, s, d, pinning)
	return shown.Print(o.ErrOut)
}

// served describes the live certificates, port by port.
func (o *pinOptions) served(shown *view.Change, s *subject, seen *answers) {
	probe := o.probe
	assessor := o.Assessor(s.world, &probe, seen.observations)
	assessor.ServerName = seen.serverName
	for _, port := range seen.ports {
		items := assessor.Certificates([]collect.Port{port}, seen.via)
		shown.Served(items, func(leaf cliv1alpha1.Certificate) string {
			if o.kind() == edit.FormCertificate || o.kind() == edit.FormLeaf {
				return leaf.CertSHA256
			}
			return leaf.SPKISHA256
		})
	}
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

// pinned is what is pinned now, as the policy says it where it cannot be read.
func pinned(s *subject) []string {
	current := s.current()
	list := make([]string, len(current.Pins))
	for i, one := range current.Pins {
		list[i] = one.String()
	}
	if current.Unread {
		list = append(list, "something that cannot be read: "+edit.Unread(s.policy))
	}
	return list
}

func served(form edit.Form, live []edit.Live) []string {
	var list []string
	known := map[string]bool{}
	for _, one := range live {
		if text := edit.PinOf(form, one.Chain[0]).String(); !known[text] {
			known[text] = true
			list = append(list, text)
		}
	}
	return list
}

// consequences says who will not be served all the same.
func (o *pinOptions) consequences(shown *view.Change, d *draft, seen *answers, faults []string) {
	for _, fault := range faults {
		shown.Say("That alone does not help: %s", fault)
	}
	if len(faults) > 0 {
		return
	}
	out := d.foretell(seen.ports, seen.serverName, seen.observations)
	if len(out.failing) == 0 {
		return
	}
	shown.Say("Even so, %d of %s would not pass:", len(out.failing), endpoints(out.asked))
	for _, line := range out.failing {
		shown.Item(line)
	}
}

// breaks says when the pin stops matching.
func breaks(form edit.Form, pinning edit.Pinning, now time.Time) string {
	due := "is due by " + pinning.Breaks.UTC().Format(time.DateOnly)
	if !pinning.Breaks.After(now) {
		due = "has been due since " + pinning.Breaks.UTC().Format(time.DateOnly)
	}
	switch form {
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
func (o *pinOptions) advise(shown *view.Change, s *subject, d *draft, pinning edit.Pinning) {
	if mode := s.mode(); mode == model.InsecureSkipVerification {
		shown.Say("Mode %s is asked for: pins do not count while it is in force. `skip-verify off` ends it.", mode)
	}
	if pinning.Partial {
		shown.Say("The CA that is presented was issued by another one. Envoy accepts that; for implementations that do " +
			"not, put the root into the ConfigMap.")
	}
	if o.probe.SNI != "" && o.probe.SNI != string(d.policy.Spec.Validation.Hostname) {
		shown.Say("The endpoints were asked with server name %s, but Envoy sends %s: what they serve for that may differ.",
			o.probe.SNI, d.policy.Spec.Validation.Hostname)
	}
	if configMap, err := s.configMap(d); err == nil && edit.Ours(configMap) && !edit.Refers(d.after) {
		shown.Say("configmap/%s is not used any more and can be removed.", configMap.Name)
	}
	if d.created && !s.world.Live() && s.world.Directory() != s.world.Source {
		shown.Say("With -f %s nobody reads %s: use -f %s from now on.",
			s.world.Source, d.medium.written(), s.world.Directory())
	}
	if ports := s.exposed(); len(ports) > 0 {
		place, here := serviceName(s.port), "in a cluster this patch does that"
		if places := s.world.Set.Places(s.port.Service); len(places) > 0 {
			place += " in " + places[0].Place()
		}
		if s.world.Live() {
			here = "this patch does that"
		}
		shown.Say("So that deleting the policy can never lead to plaintext, give port %s of %s the line "+
			"`appProtocol: https`; %s. Not where GKE's own gateway serves the Service: "+
			"there the same line turns on TLS that verifies nothing.", strings.Join(ports, " and port "), place, here)
		shown.Add(s.appProtocolPatch(ports))
	}
}
