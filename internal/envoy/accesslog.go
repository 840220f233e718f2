package envoy

import (
	"fmt"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// accessLogFields are the fields of a line, as Envoy's command operators. They
// hold text of clients and of backends' certificates, so the line is always
// written by Envoy's JSON formatter, which escapes it.
var accessLogFields = map[string]any{
	"start_time":            "%START_TIME%",
	"duration_ms":           "%DURATION%",
	"request_id":            "%REQ(X-REQUEST-ID)%",
	"downstream_address":    "%DOWNSTREAM_REMOTE_ADDRESS%",
	"downstream_tls":        "%DOWNSTREAM_TLS_VERSION%",
	"requested_server_name": "%REQUESTED_SERVER_NAME%",
	"protocol":              "%PROTOCOL%",
	"method":                "%REQ(:METHOD)%",
	"authority":             "%REQ(:AUTHORITY)%",
	"path":                  "%REQ(:PATH)%",
	"user_agent":            "%REQ(USER-AGENT)%",
	"bytes_received":        "%BYTES_RECEIVED%",
	"bytes_sent":            "%BYTES_SENT%",

	"response_code":          "%RESPONSE_CODE%",
	"grpc_status":            "%GRPC_STATUS%",
	"response_code_details":  "%RESPONSE_CODE_DETAILS%",
	"response_flags":         "%RESPONSE_FLAGS%",
	"connection_termination": "%CONNECTION_TERMINATION_DETAILS%",

	"route":    "%ROUTE_NAME%",
	"cluster":  "%UPSTREAM_CLUSTER_RAW%",
	"endpoint": "%UPSTREAM_HOST%",
	"policy":   "%METADATA(CLUSTER:" + MetadataNamespace + ":policy)%",
	"mode":     "%METADATA(CLUSTER:" + MetadataNamespace + ":mode)%",

	"upstream_transport_failure": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
	"upstream_tls":               "%UPSTREAM_TLS_VERSION%",
	"upstream_tls_cipher":        "%UPSTREAM_TLS_CIPHER%",
	"upstream_peer_subject":      "%UPSTREAM_PEER_SUBJECT%",
	"upstream_peer_issuer":       "%UPSTREAM_PEER_ISSUER%",
	"upstream_peer_dns_san":      "%UPSTREAM_PEER_DNS_SAN%",
	"upstream_peer_not_before":   "%UPSTREAM_PEER_CERT_V_START%",
	"upstream_peer_not_after":    "%UPSTREAM_PEER_CERT_V_END%",
}

// accessLog writes a JSON object per request to Envoy's standard output.
func accessLog() (*accesslogv3.AccessLog, error) {
	fields, err := structpb.NewStruct(accessLogFields)
	if err != nil {
		return nil, fmt.Errorf("access log fields: %w", err)
	}
	packed, err := pack(&streamv3.StdoutAccessLog{
		AccessLogFormat: &streamv3.StdoutAccessLog_LogFormat{LogFormat: &corev3.SubstitutionFormatString{
			Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: fields},
		}},
	})
	if err != nil {
		return nil, err
	}
	return &accesslogv3.AccessLog{
		Name:       stdoutAccessLog,
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: packed},
	}, nil
}
