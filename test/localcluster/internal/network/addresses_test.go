package network

import (
	"net/netip"
	"strings"
	"testing"
)

func TestThePartsOfARangeDoNotOverlap(t *testing.T) {
	for _, candidate := range candidates() {
		addresses := Addresses{Range: candidate}
		parts := []netip.Prefix{
			addresses.Pods(), addresses.Services(), addresses.LoadBalancers(), addresses.Link(),
		}
		for i, part := range parts {
			if part.Masked() != part || !candidate.Contains(part.Addr()) {
				t.Errorf("%s is no part of %s", part, candidate)
			}
			for _, other := range parts[i+1:] {
				if part.Overlaps(other) {
					t.Errorf("%s and %s overlap", part, other)
				}
			}
		}
		for _, node := range []uint32{0, 1, 63} {
			if pods := addresses.PodsOf(node); !addresses.Pods().Overlaps(pods) {
				t.Errorf("the pods of node %d have %s", node, pods)
			}
		}
		if !addresses.Services().Contains(addresses.DNS()) || !addresses.Services().Contains(addresses.API()) ||
			!addresses.Link().Contains(addresses.Host()) || !addresses.Link().Contains(addresses.Node()) {
			t.Errorf("%+v: an address is outside of its range", addresses)
		}
	}
}

func TestARangeThatAPersonChoosesIsChecked(t *testing.T) {
	for text, good := range map[string]bool{
		"10.99.0.0/16": true, "172.20.0.0/16": true, "192.168.0.0/16": true,
		"10.99.0.0/24": false, "10.99.1.0/16": false, "8.8.0.0/16": false, "fd00::/16": false, "ten": false, "": false,
	} {
		_, err := ParseRange(text)
		if (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("the fault of %q does not name it: %v", text, err)
		}
	}
}
