package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Link is the pair of interfaces between the host and a cluster.
type Link struct {
	// Name is the host's end; it fits the 15 bytes that the kernel allows.
	Name string
}

// inside is what the cluster calls its end.
const inside = "eth0"

// LinkOf is the link of the cluster with this hash.
func LinkOf(hash string) Link { return Link{Name: "btls" + hash} }

func (l Link) peer() string { return l.Name + "n" }

// Claim makes the link and takes a range for it: the given one, or the first
// that nothing on the host uses. The route to it is the claim that other
// clusters see.
func (l Link) Claim(wanted *netip.Prefix) (Addresses, error) {
	pair := &netlink.Veth{Name: l.Name, PeerName: l.peer()}
	if err := netlink.LinkAdd(pair); err != nil {
		return Addresses{}, fmt.Errorf("make the link %s: %w", l.Name, err)
	}
	link, err := netlink.LinkByName(l.Name)
	if err != nil {
		return Addresses{}, fmt.Errorf("link %s: %w", l.Name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return Addresses{}, fmt.Errorf("link %s: %w", l.Name, err)
	}
	ranges := candidates()
	if wanted != nil {
		ranges = []netip.Prefix{*wanted}
	}
	var refusals []string
	for _, candidate := range ranges {
		user, err := usedBy(candidate)
		if err != nil {
			return Addresses{}, err
		}
		if user != "" {
			refusals = append(refusals, fmt.Sprintf("%s (%s)", candidate, user))
			continue
		}
		addresses := Addresses{Range: candidate}
		err = l.route(link, addresses)
		if errors.Is(err, unix.EEXIST) {
			refusals = append(refusals, fmt.Sprintf("%s (taken this moment)", candidate))
			continue
		}
		return addresses, err
	}
	return Addresses{}, fmt.Errorf("every address range that the cluster could use is in use on this host: %s; "+
		"name a free one: --range", strings.Join(refusals, ", "))
}

func (l Link) route(link netlink.Link, addresses Addresses) error {
	route := &netlink.Route{
		LinkIndex: link.Attrs().Index,
		Dst:       ipNet(addresses.Range),
		Gw:        addresses.Node().AsSlice(),
		Flags:     int(netlink.FLAG_ONLINK),
	}
	if err := netlink.RouteAdd(route); err != nil {
		return fmt.Errorf("route to %s: %w", addresses.Range, err)
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addresses.Host(), addresses.Link().Bits()))}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address of link %s: %w", l.Name, err)
	}
	return nil
}

// Connect moves the other end into the network namespace of the process and
// gives it the node's address.
func (l Link) Connect(pid int, addresses Addresses) error {
	peer, err := netlink.LinkByName(l.peer())
	if err != nil {
		return fmt.Errorf("link %s: %w", l.peer(), err)
	}
	if err := netlink.LinkSetNsPid(peer, pid); err != nil {
		return fmt.Errorf("move link %s into the cluster: %w", l.peer(), err)
	}
	namespace, err := netns.GetFromPid(pid)
	if err != nil {
		return fmt.Errorf("network namespace of the cluster: %w", err)
	}
	defer func() { _ = namespace.Close() }()
	handle, err := netlink.NewHandleAt(namespace)
	if err != nil {
		return fmt.Errorf("network namespace of the cluster: %w", err)
	}
	defer handle.Close()
	return l.configure(handle, addresses)
}

func (l Link) configure(handle *netlink.Handle, addresses Addresses) error {
	peer, err := handle.LinkByName(l.peer())
	if err != nil {
		return fmt.Errorf("link %s in the cluster: %w", l.peer(), err)
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(addresses.Node(), addresses.Link().Bits()))}
	loopback, err := handle.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("loopback in the cluster: %w", err)
	}
	for _, step := range []func() error{
		func() error { return handle.LinkSetName(peer, inside) },
		func() error { return handle.AddrAdd(peer, address) },
		func() error { return handle.LinkSetUp(peer) },
		func() error { return handle.LinkSetUp(loopback) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("link %s in the cluster: %w", inside, err)
		}
	}
	return nil
}

// Exists says whether the host's end is there.
func (l Link) Exists() bool {
	_, err := net.InterfaceByName(l.Name)
	return err == nil
}

// Remove deletes both ends with their addresses and routes; that there is no
// link is no error.
func (l Link) Remove() error {
	link, err := netlink.LinkByName(l.Name)
	if _, missing := errors.AsType[netlink.LinkNotFoundError](err); missing {
		return nil
	}
	if err != nil {
		return fmt.Errorf("link %s: %w", l.Name, err)
	}
	// The kernel may have removed it meanwhile, with the namespace of its peer.
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove link %s: %w", l.Name, err)
	}
	return nil
}

// usedBy says what on the host uses addresses of the range; nothing if nothing
// does. A default route uses none.
func usedBy(wanted netip.Prefix) (string, error) {
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return "", fmt.Errorf("list the host's routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst == nil {
			continue
		}
		address, _ := netip.AddrFromSlice(route.Dst.IP.To4())
		bits, _ := route.Dst.Mask.Size()
		used := netip.PrefixFrom(address, bits)
		if bits > 0 && used.Overlaps(wanted) {
			return "route " + used.String() + device(route.LinkIndex), nil
		}
	}
	return "", nil
}

func device(index int) string {
	if found, err := net.InterfaceByIndex(index); err == nil {
		return " on " + found.Name
	}
	return ""
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), 32)}
}

// Forward lets the network namespace of this process pass packets on, which a
// node does for its pods.
func Forward() error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return fmt.Errorf("let the node forward packets: %w", err)
	}
	return nil
}
