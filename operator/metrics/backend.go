package metrics

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// ofBackend are the labels of what is about a port of a Service, under a policy
// on a Gateway.
var ofBackend = slices.Concat(onGateway, []string{"service", "port"})

// The metrics of live checks.
var (
	backendVerification = describe("backendtls_backend_verification",
		"Endpoints of a Service's port by what the last live check under the policy as written, without its mode, found: "+
			"Verified, CertificateExpiring, or why they fail. Absent for results that no endpoint has.",
		append(slices.Clip(ofBackend), "result")...)
	backendUnchecked = describe("backendtls_backend_unchecked_endpoints",
		"Ready endpoints of a Service's port that the live checks have not, or must not have, asked.", ofBackend...)
	backendNotAfter = describe("backendtls_backend_certificate_not_after_seconds",
		"The earliest end of validity among the certificates that the endpoints of a Service's port presented, in seconds "+
			"since 1970.", ofBackend...)
)

var backendDescs = []*prometheus.Desc{backendVerification, backendUnchecked, backendNotAfter}

// backend is a port of a Service under a policy on a Gateway.
type backend struct {
	policy, gateway, service gwapi.Key
	port                     int32
}

func (b backend) labels() []string {
	return []string{
		b.policy.Namespace, b.policy.Name, b.gateway.Namespace, b.gateway.Name, b.service.Name,
		strconv.Itoa(int(b.port)),
	}
}

// checked is what was found of a backend, which may have several clusters: HTTP/1.1
// and HTTP/2 to one port are checked once.
type checked struct {
	results   map[string]int
	unchecked int
	notAfter  time.Time
}

func backends(config Config, last *built, series chan<- prometheus.Metric) {
	for b, found := range checkedBackends(last, config.Probed()) {
		labels := b.labels()
		for _, result := range slices.Sorted(maps.Keys(found.results)) {
			series <- gauge(backendVerification, float64(found.results[result]), append(labels[:6:6], result)...)
		}
		series <- gauge(backendUnchecked, float64(found.unchecked), labels...)
		if !found.notAfter.IsZero() {
			series <- gauge(backendNotAfter, seconds(found.notAfter), labels...)
		}
	}
}

func checkedBackends(last *built, verdicts map[model.ProbeKey]model.Probed) map[backend]checked {
	all := map[backend]checked{}
	for gateway, built := range last.result.Gateways {
		seen := map[model.ProbeKey]bool{}
		for i := range built.Backends {
			b := &built.Backends[i]
			key, on := b.ProbeKey()
			probed, known := verdicts[key]
			if !on || !known || b.Trust == nil || seen[key] {
				continue
			}
			seen[key] = true
			of := backend{policy: b.Trust.Policy, gateway: gateway, service: b.Service, port: b.Port}
			all[of] = all[of].with(&probed)
		}
	}
	return all
}

// with adds the verdicts of one ProbeKey.
func (c checked) with(probed *model.Probed) checked {
	if c.results == nil {
		c.results = map[string]int{}
	}
	for _, count := range probed.Counts {
		c.results[count.Result] += count.Count
	}
	c.unchecked += max(0, probed.Endpoints-probed.Checked())
	if end := probed.NotAfter; !end.IsZero() && (c.notAfter.IsZero() || end.Before(c.notAfter)) {
		c.notAfter = end
	}
	return c
}
