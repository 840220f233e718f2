package resolve

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// addressing is which address a Gateway has.
type addressing struct {
	// ip is what Envoy binds; invalid where there is none to bind.
	ip netip.Addr
	// unsupported names an entry of spec.addresses with a type that nobody here
	// can assign; the Gateway is then not accepted.
	unsupported string
	// unusable names the entries that cannot be bound; the Gateway is then not
	// Programmed, whatever else it has.
	unusable string
}

// loopback is the addresses that a standalone Gateway may ask for.
var loopback = netip.MustParsePrefix("127.0.0.0/8")

// assignAddresses gives each of our Gateways its address: the one it asks for,
// or in standalone one of its own that follows from its key, so that it is the
// same after every restart.
func (b *builder) assignAddresses() {
	taken := map[netip.Addr]bool{}
	var open []*gatewayNode
	for _, node := range b.byAge() {
		node.address = b.requestedAddress(node.object.Spec.Addresses)
		switch {
		case node.address.ip.IsValid():
			taken[node.address.ip] = true
		case node.address.unsupported == "" && node.address.unusable == "":
			open = append(open, node)
		}
	}
	for _, node := range open {
		if b.snap.Site.Standalone {
			node.address.ip = ownAddress(node.key, taken)
			taken[node.address.ip] = true
			continue
		}
		node.address.ip = netip.IPv4Unspecified()
	}
}

// ownAddress derives a free address in 127.128.0.0/9 from the key. That half of
// the loopback network is used by nobody by habit, unlike 127.0.0.0/16.
func ownAddress(key gwapi.Key, taken map[netip.Addr]bool) netip.Addr {
	const (
		base = 127<<24 | 128<<16
		size = 1 << 23
	)
	sum := sha256.Sum256([]byte(key.String()))
	start := binary.BigEndian.Uint32(sum[:4]) % size
	for step := range uint32(size) {
		offset := (start + step) % size
		if offset == 0 || offset == size-1 {
			continue // a network's own address and its broadcast address
		}
		address := netip.AddrFrom4(netipBytes(base + offset))
		if !taken[address] {
			return address
		}
	}
	return netip.Addr{}
}

func netipBytes(v uint32) (bytes [4]byte) {
	binary.BigEndian.PutUint32(bytes[:], v)
	return bytes
}

// requestedAddress reads spec.addresses. One address can be bound; a second
// one would have no Envoy.
func (b *builder) requestedAddress(addresses []gatewayv1.GatewaySpecAddress) addressing {
	var result addressing
	var unsupported, unusable []string
	for i, entry := range addresses {
		field := fmt.Sprintf("spec.addresses[%d]", i)
		if entry.Type != nil && *entry.Type != gatewayv1.IPAddressType {
			unsupported = append(unsupported, fmt.Sprintf("%s.type: %q is not supported, %s is",
				field, *entry.Type, gatewayv1.IPAddressType))
			continue
		}
		if entry.Routability != "" {
			unusable = append(unusable, fmt.Sprintf("%s.routability: %q is not supported; leave it out",
				field, entry.Routability))
			continue
		}
		if entry.Value == "" {
			continue // any address will do
		}
		ip, fault := b.usableAddress(entry.Value)
		switch {
		case fault != "":
			unusable = append(unusable, fmt.Sprintf("%s.value: %q %s", field, entry.Value, fault))
		case result.ip.IsValid():
			unusable = append(unusable, fmt.Sprintf("%s.value: %q is one too many, a Gateway has one address (%s)",
				field, entry.Value, result.ip))
		default:
			result.ip = ip
		}
	}
	result.unsupported, result.unusable = strings.Join(unsupported, "; "), strings.Join(unusable, "; ")
	return result
}

// usableAddress says why an address cannot be bound here, "" if it can.
func (b *builder) usableAddress(value string) (ip netip.Addr, fault string) {
	ip, err := netip.ParseAddr(value)
	ip = ip.Unmap()
	site := &b.snap.Site
	switch {
	case err != nil:
		return ip, "is not an IP address"
	case !site.Standalone:
		return ip, "cannot be assigned: in a cluster the address is that of the Gateway's Service; leave it out"
	case ip.Zone() != "" || ip.IsMulticast() || ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return ip, "is not an address that a listener can be bound to"
	case loopback.Contains(ip):
		return ip, ""
	case slices.ContainsFunc(site.AllowAddresses, func(p netip.Prefix) bool { return p.Contains(ip) }):
		return ip, ""
	default:
		return ip, fmt.Sprintf("is outside %s; --allow-address admits others", loopback)
	}
}

// overlap says whether sockets on both addresses exclude each other: they are
// the same, or one of them is every address of the family.
func overlap(a, b netip.Addr) bool {
	return a == b || a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}
