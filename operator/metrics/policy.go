package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/backendtls/backendtls/internal/model"
)

// onGateway are the labels of what is about a policy on a Gateway.
var onGateway = []string{"namespace", "name", "gateway_namespace", "gateway"}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// The metrics of policies.
var (
	policyDegraded = describe("backendtls_policy_degraded",
		"Whether SecurityDegraded of a BackendTLSPolicy is True for a Gateway: 1, and mode names what is skipped; or 0 "+
			"and mode is Standard. It is 1 before status says True and some seconds longer than it does.",
		append(onGateway, "mode")...)
	policyDegradedSince = describe("backendtls_policy_degraded_since_seconds",
		"When SecurityDegraded turned True, in seconds since 1970, however often the mode was renewed or changed since; "+
			"absent while it is False.", onGateway...)
	policyModeUntil = describe("backendtls_policy_mode_until_seconds",
		"When the mode in force ends by itself, in seconds since 1970; absent without a mode, or without an end.",
		onGateway...)
	policyAccepted = describe("backendtls_policy_accepted",
		"Whether a BackendTLSPolicy is in force on a Gateway: 1, or 0 if requests that it decides about answer 500.",
		onGateway...)
	policyProgrammed = describe("backendtls_policy_programmed",
		"Whether every Envoy of the Gateway has acknowledged what the BackendTLSPolicy decides: 1 or 0.", onGateway...)
	policyRevocationEnds = describe("backendtls_policy_crl_next_update_seconds",
		"The earliest nextUpdate of the certificate revocation lists of a BackendTLSPolicy, of the newest of each issuer, "+
			"in seconds since 1970; past it every connection is refused. Absent without one.", onGateway...)
)

var policyDescs = []*prometheus.Desc{
	policyDegraded, policyDegradedSince, policyModeUntil, policyAccepted, policyProgrammed, policyRevocationEnds,
}

func policies(config Config, last *built, series chan<- prometheus.Metric) {
	now := config.Now()
	for _, s := range last.result.Standings {
		was, known := last.lately[place{s.Policy, s.Gateway}]
		if known && !s.Mode.Insecure() && now.Sub(was.at) < lingering {
			s.Mode, s.Since, s.Until = was.standing.Mode, was.standing.Since, was.standing.Until
		}
		labels := []string{s.Policy.Namespace, s.Policy.Name, s.Gateway.Namespace, s.Gateway.Name}
		mode := s.Mode
		if !mode.Insecure() {
			mode = model.Standard
		}
		series <- gauge(policyDegraded, flag(mode.Insecure()), append(labels[:4:4], string(mode))...)
		series <- gauge(policyAccepted, flag(s.Accepted), labels...)
		series <- gauge(policyProgrammed, flag(s.Programmed), labels...)
		if !s.Since.IsZero() {
			series <- gauge(policyDegradedSince, seconds(s.Since), labels...)
		}
		if !s.Until.IsZero() {
			series <- gauge(policyModeUntil, seconds(s.Until), labels...)
		}
		if !s.RevocationEnds.IsZero() {
			series <- gauge(policyRevocationEnds, seconds(s.RevocationEnds), labels...)
		}
	}
}
