package envoy_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/backendtls/backendtls/internal/envoy"
)

func soundConfig() envoy.BootstrapConfig {
	return envoy.BootstrapConfig{
		NodeID: "envoy-1", NodeCluster: "default/gw", XDSSocket: "/run/xds.sock", AdminSocket: "/run/admin.sock",
	}
}

func TestTheBootstrapOpensNoPort(t *testing.T) {
	got, err := envoy.NewBootstrap(soundConfig())
	if err != nil {
		t.Fatal(err)
	}
	admin := got.GetAdmin().GetAddress().GetPipe()
	if admin.GetPath() != "/run/admin.sock" || admin.GetMode() != 0o600 {
		t.Errorf("admin: %v", got.GetAdmin())
	}
	clusters := got.GetStaticResources().GetClusters()
	if len(clusters) != 1 || clusters[0].GetName() != envoy.XDSCluster {
		t.Fatalf("clusters: %v", clusters)
	}
	endpoint := clusters[0].GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint()
	if endpoint.GetAddress().GetPipe().GetPath() != "/run/xds.sock" {
		t.Errorf("control plane: %v", endpoint)
	}
	dynamic := got.GetDynamicResources()
	if dynamic.GetAdsConfig().GetApiType() != corev3.ApiConfigSource_DELTA_GRPC {
		t.Errorf("not delta: %v", dynamic)
	}
	for _, source := range []*corev3.ConfigSource{dynamic.GetCdsConfig(), dynamic.GetLdsConfig()} {
		if source.GetAds() == nil || source.GetResourceApiVersion() != corev3.ApiVersion_V3 {
			t.Errorf("not over ADS: %v", source)
		}
	}
	if len(got.GetStaticResources().GetListeners()) != 0 {
		t.Error("there is a static listener")
	}
}

func TestTheBootstrapIsTheSameJSONEveryTime(t *testing.T) {
	first, err := envoy.Bootstrap(soundConfig())
	if err != nil {
		t.Fatal(err)
	}
	second, err := envoy.Bootstrap(soundConfig())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) || !json.Valid(first) || !bytes.Contains(first, []byte("\n  \"node\": {\n")) {
		t.Errorf("first:\n%s\nsecond:\n%s", first, second)
	}
}

func TestABootstrapThatCannotWorkIsRefused(t *testing.T) {
	for field, spoil := range map[string]func(*envoy.BootstrapConfig){
		"XDSSocket":   func(c *envoy.BootstrapConfig) { c.XDSSocket = "xds.sock" },
		"AdminSocket": func(c *envoy.BootstrapConfig) { c.AdminSocket = "/" + strings.Repeat("a", 107) },
		"NodeID":      func(c *envoy.BootstrapConfig) { c.NodeID = "" },
		"NodeCluster": func(c *envoy.BootstrapConfig) { c.NodeCluster = "" },
		"Connections": func(c *envoy.BootstrapConfig) { c.Connections = -1 },
	} {
		config := soundConfig()
		spoil(&config)
		if _, err := envoy.Bootstrap(config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
