package assess

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// Certificates describes the chain of every endpoint of the ports, replicas
// with one key next to each other, the endpoints without an answer last.
func (a *Assessor) Certificates(ports []collect.Port, via string) []cliv1alpha1.EndpointCertificate {
	list := []cliv1alpha1.EndpointCertificate{}
	for _, port := range ports {
		for _, endpoint := range port.Endpoints {
			observation, found := a.observation(port, endpoint)
			if !found {
				continue
			}
			item := cliv1alpha1.EndpointCertificate{
				Service:           PortReference(port),
				Address:           endpoint.Address.String(),
				Pod:               untrusted.Text(endpoint.Pod.Name),
				Via:               via,
				SNI:               untrusted.Text(observation.SNI),
				ObservedAt:        metav1.NewTime(observation.At.UTC()),
				TLSVersion:        tlsVersion(observation.TLSVersion),
				ALPN:              untrusted.Text(observation.ALPN),
				ClientCertificate: observation.ClientCertificate,
				ClientAuthorities: untrusted.Texts(observation.ClientAuthorities),
				Connected:         observation.Connected,
				Protocol:          observation.Protocol,
				Fault:             string(observation.Fault),
				Error:             untrusted.Text(observation.Err),
				Advice:            untrusted.Text(a.advice(port, observation)),
			}
			for _, cert := range chain(observation.Chain) {
				item.Chain = append(item.Chain, Certificate(cert, true))
			}
			list = append(list, item)
		}
	}
	slices.SortStableFunc(list, compareFetched)
	return list
}

func compareFetched(a, b cliv1alpha1.EndpointCertificate) int {
	return cmp.Or(
		cmp.Compare(a.Service.Namespace, b.Service.Namespace),
		cmp.Compare(a.Service.Name, b.Service.Name),
		cmp.Compare(a.Service.Port, b.Service.Port),
		-cmp.Compare(min(len(a.Chain), 1), min(len(b.Chain), 1)),
		cmp.Compare(LeafKey(a), LeafKey(b)),
	)
}

// LeafKey is the pin of the key that an endpoint serves, "" without one.
func LeafKey(item cliv1alpha1.EndpointCertificate) string {
	if len(item.Chain) == 0 {
		return ""
	}
	return item.Chain[0].SPKISHA256
}
