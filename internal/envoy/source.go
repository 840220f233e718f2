package envoy

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/durationpb"
)

// fetchTimeout is how long Envoy waits for a resource that another one needs
// before it goes on without. Envoy's default of 15 s would withhold the
// acknowledgement of every cluster as long because of a single one.
const fetchTimeout = 2 * time.Second

// overADS is a resource that comes over the aggregated stream.
func overADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		InitialFetchTimeout:   durationpb.New(fetchTimeout),
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
