package session

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// ErrServedChanged is wrapped by the errors about endpoints that do not serve any
// more what a person was shown. It is an edit.ErrChanged.
var ErrServedChanged error = servedChanged{}

type servedChanged struct{}

func (servedChanged) Error() string        { return "fetch again" }
func (servedChanged) Is(target error) bool { return target == edit.ErrChanged }

// sameAs refuses where what the endpoints serve now is not what was shown: who
// confirms a pin confirms what they saw. Another endpoint that serves a
// certificate which was shown is no change.
func (a *answers) sameAs(seen *Fetched) error {
	shown := map[string]map[string]bool{}
	gone := map[string]bool{}
	for _, item := range seen.Endpoints {
		port := fmt.Sprintf("svc/%s:%d", item.Service.Name, item.Service.Port)
		if shown[port] == nil {
			shown[port] = map[string]bool{}
		}
		if len(item.Chain) > 0 {
			shown[port][item.Chain[0].CertSHA256] = true
			gone[item.Chain[0].SPKISHA256] = true
		}
	}
	fresh := map[string]bool{}
	for _, port := range a.Ports {
		if shown[service(port)] == nil {
			return fmt.Errorf("nothing was written: the policy decides about %s too, and what that serves was not shown: %w",
				service(port), ErrServedChanged)
		}
		for _, one := range a.of(port) {
			key := pin.OfKey(one.Chain[0]).String()
			delete(gone, key)
			if !shown[service(port)][pin.OfCertificate(one.Chain[0]).String()] {
				fresh[fmt.Sprintf("%s serves a certificate that was not shown (%s)", one.Endpoint, key)] = true
			}
		}
	}
	for key := range gone {
		fresh["no endpoint serves "+key+" any more"] = true
	}
	if len(fresh) == 0 {
		return nil
	}
	return fmt.Errorf("nothing was written: %s: %w", strings.Join(slices.Sorted(maps.Keys(fresh)), ", "), ErrServedChanged)
}

// of are the answers of the endpoints of one port.
func (a *answers) of(port collect.Port) []edit.Live {
	return slices.DeleteFunc(slices.Clone(a.live), func(one edit.Live) bool {
		return !slices.ContainsFunc(port.Endpoints, func(endpoint model.Endpoint) bool {
			return endpoint.Address.String() == one.Endpoint
		})
	})
}
