package envoy

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// statsConfig keeps the statistics that somebody looks at. Envoy makes some
// 200 per cluster, at thousands of clusters most of its memory and, where they
// are scraped, most of its time. Suffixes are compared without a regex.
func statsConfig() *metricsv3.StatsConfig {
	list := &matcherv3.ListStringMatcher{}
	for _, prefix := range []string{
		"server.", "cluster_manager.", "listener_manager.", "control_plane.", "overload.",
		"cluster." + XDSCluster + ".",
	} {
		list.Patterns = append(list.Patterns, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
		})
	}
	for _, suffix := range statsSuffixes {
		list.Patterns = append(list.Patterns, &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: suffix},
		})
	}
	return &metricsv3.StatsConfig{StatsMatcher: &metricsv3.StatsMatcher{
		StatsMatcher: &metricsv3.StatsMatcher_InclusionList{InclusionList: list},
	}}
}

var statsSuffixes = []string{
	// Why a handshake with a backend failed, by cluster.
	".ssl.fail_verify_error", ".ssl.fail_verify_san", ".ssl.fail_verify_cert_hash", ".ssl.fail_verify_no_cert",
	".ssl.connection_error", ".ssl.handshake", ".ssl.session_reused", ".ssl.was_key_usage_invalid",
	// Traffic to backends.
	".membership_healthy", ".membership_total",
	".upstream_cx_active", ".upstream_cx_total", ".upstream_cx_connect_fail", ".upstream_cx_connect_timeout",
	".upstream_cx_overflow", ".upstream_rq_active", ".upstream_rq_total",
	".upstream_rq_pending_overflow", ".upstream_rq_active_overflow",
	".upstream_rq_2xx", ".upstream_rq_3xx", ".upstream_rq_4xx", ".upstream_rq_5xx", ".upstream_rq_time",
	// Traffic of clients.
	".downstream_cx_active", ".downstream_cx_total", ".downstream_cx_overflow", ".downstream_cx_overload_reject",
	".downstream_rq_active", ".downstream_rq_total", ".downstream_rq_2xx", ".downstream_rq_3xx",
	".downstream_rq_4xx", ".downstream_rq_5xx", ".downstream_rq_time", ".no_filter_chain_match",
	// What the control plane sent.
	".update_rejected", ".update_success", ".config_reload", ".ssl_context_update_by_sds",
	".upstream_context_secrets_not_ready", ".downstream_context_secrets_not_ready",
}
