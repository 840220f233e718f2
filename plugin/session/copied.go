package session

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// Manifest is the YAML of the policy that decides about the port, in files as it
// stands there; without one, of the policy that `pin` would make of what was
// fetched last.
func (s *Session) Manifest(port cliv1alpha1.PortReference) (string, error) {
	world := s.known()
	if world == nil {
		return "", errors.New("nothing has been read yet")
	}
	found, exists := world.Port(keyOf(port))
	if !exists {
		return "", fmt.Errorf("svc/%s:%d is not there any more", port.Name, port.Port)
	}
	if found.Policy == nil {
		return s.wouldPin(world, found)
	}
	p := &Plan{world: world, next: world, policy: found.Policy, after: found.Policy, medium: &onDisk{world: world}}
	if world.Live() {
		p.medium = &onServer{}
	}
	return p.render()
}

// wouldPin is the policy that pins the keys that were served when the port was
// fetched last.
func (s *Session) wouldPin(world *collect.World, port collect.Port) (string, error) {
	fetched, found := s.remembered(port.Key())
	if !found {
		return "", fmt.Errorf("%s has no policy, and what `pin` would make of it depends on what is served: fetch that first",
			service(port))
	}
	live, err := liveOf(fetched)
	if err != nil {
		return "", err
	}
	p, err := s.drafterOf(world, port.Service.Namespace).plan(subjectOf(world, []collect.Port{port}),
		edit.Create{Live: live, WellKnown: edit.PinnedOnly})
	if err != nil {
		return "", err
	}
	pinning, err := edit.Pin(p.policy, edit.Request{Form: edit.FormSPKI, Live: live, Now: world.Snapshot.Now})
	if err != nil {
		return "", err
	}
	content, err := document(pinning.Edit.Apply(p.policy))
	return string(content), err
}

// liveOf is what was fetched as what can be pinned.
func liveOf(fetched Fetched) ([]edit.Live, error) {
	var list []edit.Live
	for _, endpoint := range fetched.Endpoints {
		live := edit.Live{Endpoint: endpoint.Address}
		for _, one := range endpoint.Chain {
			block, _ := pem.Decode([]byte(one.PEM))
			if block == nil {
				return nil, fmt.Errorf("%s serves a certificate that cannot be read", endpoint.Address)
			}
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%s serves a certificate that cannot be read: %w", endpoint.Address, err)
			}
			live.Chain = append(live.Chain, certificate)
		}
		if len(live.Chain) > 0 {
			list = append(list, live)
		}
	}
	if len(list) == 0 {
		return nil, errors.New("no endpoint presented a certificate: there is nothing to pin")
	}
	return list, nil
}
