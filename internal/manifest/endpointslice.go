package manifest

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The limits of EndpointSlice v1 (kubernetes pkg/apis/discovery/validation).
const (
	maxSliceEndpoints    = 1000
	maxSliceAddresses    = 100
	maxEndpointSlicePort = 20000
)

// checkEndpointSlice adds the defaults that matter here and checks addresses
// and ports by the rules of EndpointSlice v1.
func checkEndpointSlice(object metav1.Object) field.ErrorList {
	slice, ok := object.(*discoveryv1.EndpointSlice)
	if !ok {
		return nil
	}
	var errs field.ErrorList
	switch slice.AddressType {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN:
	case "":
		errs = append(errs, field.Required(field.NewPath("addressType"), ""))
	default:
		errs = append(errs, field.NotSupported(field.NewPath("addressType"), slice.AddressType,
			[]discoveryv1.AddressType{
				discoveryv1.AddressTypeFQDN, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6,
			}))
	}
	if n := len(slice.Endpoints); n > maxSliceEndpoints {
		errs = append(errs, field.TooMany(field.NewPath("endpoints"), n, maxSliceEndpoints))
	}
	for i := range slice.Endpoints {
		at := field.NewPath("endpoints").Index(i)
		errs = append(errs, checkAddresses(slice.Endpoints[i].Addresses, slice.AddressType, at.Child("addresses"))...)
	}
	return append(errs, checkSlicePorts(slice.Ports)...)
}

func checkAddresses(addresses []string, kind discoveryv1.AddressType, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch n := len(addresses); {
	case n == 0:
		errs = append(errs, field.Required(at, "an endpoint needs an address"))
	case n > maxSliceAddresses:
		errs = append(errs, field.TooMany(at, n, maxSliceAddresses))
	}
	for i, address := range addresses {
		if kind == discoveryv1.AddressTypeFQDN {
			errs = append(errs, validation.IsFullyQualifiedDomainName(at.Index(i), address)...)
			continue
		}
		ip, err := netip.ParseAddr(address)
		switch {
		case err != nil || ip.Zone() != "":
			errs = append(errs, field.Invalid(at.Index(i), address, "must be an IP address"))
		case kind == discoveryv1.AddressTypeIPv4 && !ip.Is4():
			errs = append(errs, field.Invalid(at.Index(i), address, "must be an IPv4 address, as addressType says"))
		case kind == discoveryv1.AddressTypeIPv6 && (!ip.Is6() || ip.Is4In6()):
			errs = append(errs, field.Invalid(at.Index(i), address, "must be an IPv6 address, as addressType says"))
		}
	}
	return errs
}

func checkSlicePorts(ports []discoveryv1.EndpointPort) field.ErrorList {
	path := field.NewPath("ports")
	var errs field.ErrorList
	if n := len(ports); n > maxEndpointSlicePort {
		errs = append(errs, field.TooMany(path, n, maxEndpointSlicePort))
	}
	names := map[string]bool{}
	for i := range ports {
		port, at := &ports[i], path.Index(i)
		if port.Name == nil {
			port.Name = new(string)
		}
		if *port.Name != "" {
			for _, problem := range validation.IsDNS1123Label(*port.Name) {
				errs = append(errs, field.Invalid(at.Child("name"), *port.Name, problem))
			}
		}
		if names[*port.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), *port.Name))
		}
		names[*port.Name] = true
		if port.Port != nil {
			for _, problem := range validation.IsValidPortNum(int(*port.Port)) {
				errs = append(errs, field.Invalid(at.Child("port"), *port.Port, problem))
			}
		}
		if port.Protocol == nil {
			port.Protocol = new(corev1.ProtocolTCP)
		}
		errs = append(errs, checkProtocol(port.Protocol, at.Child("protocol"))...)
	}
	return errs
}
