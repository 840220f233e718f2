package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Addresses is how a cluster divides its range, which is a /16.
type Addresses struct {
	Range netip.Prefix `json:"range"`
}

// candidates are ranges that are seldom in use: neither the first ones that
// people take, nor what Docker, kind, k3s and minikube take.
func candidates() []netip.Prefix {
	var ranges []netip.Prefix
	for second := byte(213); second < 229; second++ {
		ranges = append(ranges, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, second, 0, 0}), 16))
	}
	return ranges
}

// ParseRange checks a range that a person chose.
func ParseRange(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("address range %q: %w", text, err)
	}
	if !prefix.Addr().Is4() || prefix.Bits() != 16 || prefix.Masked() != prefix || !prefix.Addr().IsPrivate() {
		return netip.Prefix{}, fmt.Errorf("address range %q: must be a private IPv4 range of 65536 addresses, "+
			"written like 10.213.0.0/16", text)
	}
	return prefix, nil
}

func (a Addresses) part(offset uint32, bits int) netip.Prefix {
	return netip.PrefixFrom(a.at(offset), bits)
}

func (a Addresses) at(offset uint32) netip.Addr {
	base := a.Range.Addr().As4()
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], binary.BigEndian.Uint32(base[:])+offset)
	return netip.AddrFrom4(sum)
}

// Pods is the range of all pods.
func (a Addresses) Pods() netip.Prefix { return a.part(0, 18) }

// PodsOf is the range of the pods on a node, which is counted from 0.
func (a Addresses) PodsOf(node uint32) netip.Prefix { return a.part(node<<8, 24) }

// Services is the range of the cluster addresses of Services.
func (a Addresses) Services() netip.Prefix { return a.part(64<<8, 18) }

// LoadBalancers is the range of addresses for Services of that type.
func (a Addresses) LoadBalancers() netip.Prefix { return a.part(128<<8, 24) }

// Link is the range between the host and the nodes.
func (a Addresses) Link() netip.Prefix { return a.part(192<<8, 24) }

// Host is the host's end of the link.
func (a Addresses) Host() netip.Addr { return a.at(192<<8 + 1) }

// Node is the first node's address.
func (a Addresses) Node() netip.Addr { return a.at(192<<8 + 2) }

// API is the cluster address of the API server, always the first of its range.
func (a Addresses) API() netip.Addr { return a.at(64<<8 + 1) }

// DNS is the cluster address that pods ask for names.
func (a Addresses) DNS() netip.Addr { return a.at(64<<8 + 10) }
