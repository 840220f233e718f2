package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// The metrics of Gateways.
var (
	gatewayEnvoys = describe("backendtls_gateway_envoys",
		"Envoys of a Gateway by state: expected (started and not gone, those that end included); connected (to any "+
			"replica); acknowledged (have all of the newest configuration); refusing (refuse a part of it).",
		"gateway_namespace", "gateway", "state")
	gatewayFault = describe("backendtls_gateway_fault",
		"What keeps a Gateway from being run as it should be, 1 or 0, by fault: parameters (GatewayParameters cannot be "+
			"used); fleet (its Envoys are not run as they should be); translation (its configuration cannot be built, "+
			"its backends answer 500). Its status says why.", "gateway_namespace", "gateway", "fault")
	gatewayBackends = describe("backendtls_gateway_backends",
		"Ports of Services that a Gateway connects to, by tls: verified, weakened (an insecure mode is in force) or "+
			"plaintext.", "gateway_namespace", "gateway", "tls")
)

var gatewayDescs = []*prometheus.Desc{gatewayEnvoys, gatewayFault, gatewayBackends}

func gateways(_ Config, last *built, series chan<- prometheus.Metric) {
	for key, gateway := range last.result.Gateways {
		name := func(value string) []string { return []string{key.Namespace, key.Name, value} }
		counts := countEnvoys(&gateway, last.observed.Envoys[key])
		series <- gauge(gatewayEnvoys, counts.expected, name("expected")...)
		series <- gauge(gatewayEnvoys, counts.connected, name("connected")...)
		series <- gauge(gatewayEnvoys, counts.acknowledged, name("acknowledged")...)
		series <- gauge(gatewayEnvoys, counts.refusing, name("refusing")...)
		series <- gauge(gatewayFault, flag(gateway.Unresolved), name("parameters")...)
		series <- gauge(gatewayFault, flag(last.observed.Fleet[key] != ""), name("fleet")...)
		series <- gauge(gatewayFault, flag(last.observed.Untranslatable[key] != ""), name("translation")...)
		verified, weakened, plaintext := countBackends(gateway.Backends)
		series <- gauge(gatewayBackends, verified, name("verified")...)
		series <- gauge(gatewayBackends, weakened, name("weakened")...)
		series <- gauge(gatewayBackends, plaintext, name("plaintext")...)
	}
}

type envoyCounts struct{ expected, connected, acknowledged, refusing float64 }

func countEnvoys(gateway *model.Gateway, envoys []model.Envoy) (counts envoyCounts) {
	for i := range envoys {
		envoy := &envoys[i]
		counts.expected++
		counts.connected += flag(envoy.Connected)
		counts.acknowledged += flag(settled(gateway.Shares, envoy.Settled))
		counts.refusing += flag(len(envoy.Rejections) > 0)
	}
	return counts
}

// settled says whether an Envoy has what every object asks for.
func settled(shares, has map[gwapi.Key]string) bool {
	for key, share := range shares {
		if has[key] != share {
			return false
		}
	}
	return true
}

// countBackends counts each port once, by the worst that is spoken to it.
func countBackends(backends []model.Backend) (verified, weakened, plaintext float64) {
	const isVerified, isWeakened, isPlaintext = 1, 2, 3
	worst := map[string]int{}
	for i := range backends {
		is := isVerified
		switch trust := backends[i].Trust; {
		case trust == nil:
			is = isPlaintext
		case trust.Mode.Insecure():
			is = isWeakened
		}
		name := backends[i].StatName()
		worst[name] = max(worst[name], is)
	}
	for _, is := range worst {
		switch is {
		case isVerified:
			verified++
		case isWeakened:
			weakened++
		default:
			plaintext++
		}
	}
	return verified, weakened, plaintext
}
