package envoy_test

import (
	"net/netip"
	"testing"

	"github.com/backendtls/backendtls/internal/envoy"
	"github.com/backendtls/backendtls/internal/model"
)

func TestAnAssignmentHoldsTheReadyEndpointsInTheirOrder(t *testing.T) {
	got := envoy.Endpoints("default/api/443/0", []model.Endpoint{
		{Address: netip.MustParseAddrPort("[fd00::2]:443"), Ready: true},
		{Address: netip.MustParseAddrPort("10.0.0.3:443")},
		{Ready: true},
		{Address: netip.MustParseAddrPort("[::ffff:10.0.0.1]:8443"), Ready: true},
	})
	if err := got.ValidateAll(); err != nil {
		t.Error(err)
	}
	if got.GetClusterName() != "default/api/443/0" || len(got.GetEndpoints()) != 1 {
		t.Fatalf("assignment: %v", got)
	}
	endpoints := got.GetEndpoints()[0].GetLbEndpoints()
	want := []struct {
		address string
		port    uint32
	}{{"fd00::2", 443}, {"10.0.0.1", 8443}}
	if len(endpoints) != len(want) {
		t.Fatalf("endpoints: %v", endpoints)
	}
	for i, w := range want {
		address := endpoints[i].GetEndpoint().GetAddress().GetSocketAddress()
		if address.GetAddress() != w.address || address.GetPortValue() != w.port {
			t.Errorf("endpoint %d: got %v, want %v", i, address, w)
		}
	}
}

func TestAnAssignmentWithoutEndpointsIsStillOne(t *testing.T) {
	got := envoy.Endpoints("default/api/443/0", nil)
	if err := got.ValidateAll(); err != nil || len(got.GetEndpoints()) != 0 {
		t.Errorf("assignment %v, %v", got, err)
	}
}
