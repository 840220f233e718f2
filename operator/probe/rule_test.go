package probe

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/model"
)

// TestWhoMayBeDialled attacks the rule: whoever may write EndpointSlices in a
// namespace could make the operator knock at doors that are closed to them.
func TestWhoMayBeDialled(t *testing.T) {
	const own = "10.0.0.7"
	unasked := func(why string) string { return "1: unasked 1 " + why }
	for _, c := range []struct {
		name string
		// endpoint is what the slice lists; edit changes the pod shop/api.
		endpoint discoveryv1.Endpoint
		kind     discoveryv1.AddressType
		edit     func(*corev1.Pod)
		want     string
		dialled  bool
	}{
		{name: "a pod's own address", endpoint: endpoint(own, "", "api"), want: "1: 1 Verified", dialled: true},
		{
			name: "a pod that is named with its namespace", endpoint: endpoint(own, "shop", "api"),
			want: "1: 1 Verified", dialled: true,
		},
		{name: "no pod", endpoint: endpoint(own, "", ""), want: unasked(model.ProbeNotAPod)},
		{
			name: "a reference to no Pod",
			endpoint: discoveryv1.Endpoint{
				Addresses: []string{own}, TargetRef: &corev1.ObjectReference{Kind: "Node", Name: "api"},
			},
			want: unasked(model.ProbeNotAPod),
		},
		{name: "a pod of another namespace", endpoint: endpoint(own, "bank", "api"), want: unasked(model.ProbeNotAPod)},
		{name: "a pod that is not there", endpoint: endpoint(own, "", "ghost"), want: unasked(model.ProbeNotOwned)},
		{name: "an address of somebody else", endpoint: endpoint("10.0.0.8", "", "api"), want: unasked(model.ProbeNotOwned)},
		{name: "the address of the node", endpoint: endpoint("192.0.2.1", "", "api"), want: unasked(model.ProbeNotOwned)},
		{
			name: "a pod on its node's network", endpoint: endpoint("192.0.2.1", "", "api"),
			edit: func(pod *corev1.Pod) {
				pod.Spec.HostNetwork = true
				pod.Status.PodIP, pod.Status.PodIPs = "192.0.2.1", []corev1.PodIP{{IP: "192.0.2.1"}}
			},
			want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod that hides that it is on its node's network", endpoint: endpoint("192.0.2.1", "", "api"),
			edit: func(pod *corev1.Pod) { pod.Status.PodIPs = []corev1.PodIP{{IP: own}, {IP: "192.0.2.1"}} },
			want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod on its node's network, by an address of which its status has no node", endpoint: endpoint("198.51.100.9", "", "api"),
			edit: func(pod *corev1.Pod) {
				pod.Spec.HostNetwork, pod.Status.PodIPs = true, []corev1.PodIP{{IP: "198.51.100.9"}}
			},
			want: unasked(model.ProbeNotOwned),
		},
		{
			name: "the address of the node, from an API server that lists no hostIPs", endpoint: endpoint("192.0.2.1", "", "api"),
			edit: func(pod *corev1.Pod) {
				pod.Status.HostIPs, pod.Status.PodIPs = nil, []corev1.PodIP{{IP: "192.0.2.1"}}
			},
			want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod that has ended, whose address is another's by now", endpoint: endpoint(own, "", "api"),
			edit: func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded }, want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod that failed", endpoint: endpoint(own, "", "api"),
			edit: func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodFailed }, want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod that is being deleted, whose address may be another's", endpoint: endpoint(own, "", "api"),
			edit: func(pod *corev1.Pod) { pod.DeletionTimestamp = new(metav1.Now()) }, want: unasked(model.ProbeNotOwned),
		},
		{
			name: "a pod without an address yet", endpoint: endpoint(own, "", "api"),
			edit: func(pod *corev1.Pod) { pod.Status.PodIP, pod.Status.PodIPs = "", nil }, want: unasked(model.ProbeNotOwned),
		},
		{
			name: "the API server, whoever is said to be it", endpoint: endpoint("10.96.0.1", "", "api"),
			edit: func(pod *corev1.Pod) { pod.Status.PodIPs = []corev1.PodIP{{IP: "10.96.0.1"}} },
			want: unasked(model.ProbeNotAPod),
		},
		{name: "the metadata of the machine", endpoint: endpoint("169.254.169.254", "", "api"), want: "0:"},
		{name: "loopback", endpoint: endpoint("127.0.0.1", "", "api"), want: "0:"},
		{name: "the unspecified address", endpoint: endpoint("0.0.0.0", "", "api"), want: "0:"},
		{name: "loopback of IPv6", endpoint: endpoint("::1", "", "api"), kind: discoveryv1.AddressTypeIPv6, want: "0:"},
		{
			name: "loopback of IPv4 in IPv6", endpoint: endpoint("::ffff:127.0.0.1", "", "api"),
			kind: discoveryv1.AddressTypeIPv6, want: "0:",
		},
		{
			name: "link-local of IPv4 in IPv6", endpoint: endpoint("::ffff:169.254.169.254", "", "api"),
			kind: discoveryv1.AddressTypeIPv6, want: "0:",
		},
		{
			name: "somebody else's IPv4 in IPv6", endpoint: endpoint("::ffff:10.0.0.8", "", "api"),
			kind: discoveryv1.AddressTypeIPv6, want: unasked(model.ProbeNotOwned),
		},
		{
			name: "the API server's IPv4 in IPv6", endpoint: endpoint("::ffff:10.96.0.1", "", "api"),
			kind: discoveryv1.AddressTypeIPv6, want: unasked(model.ProbeNotAPod),
		},
		{
			name: "link-local of IPv6", endpoint: endpoint("fe80::1", "", "api"),
			kind: discoveryv1.AddressTypeIPv6, want: "0:",
		},
		{name: "a name", endpoint: endpoint("kubernetes.default.svc", "", "api"), kind: discoveryv1.AddressTypeFQDN, want: "0:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, ca := newWorld(), newAuthority(t)
				r := w.start(t, Config{Refused: []netip.Addr{netip.MustParseAddr("10.96.0.1")}})
				defer r.stop()
				w.place("api", own, presents(ca.good))
				if pod := w.pods[types.NamespacedName{Namespace: "shop", Name: "api"}]; c.edit != nil {
					c.edit(pod)
				}
				b := backend("api", ca.trust("api"))
				list := slice("api", c.endpoint)
				if c.kind != "" {
					list[0].AddressType = c.kind
				}
				r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "api"}, list)
				r.Put(gateways(gateway(web, b)))
				pass(soon + time.Second)
				if got := r.said(b); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if got := len(w.log()) > 0; got != c.dialled {
					t.Errorf("dialled: %v", w.log())
				}
			})
		})
	}
}

func TestWithoutTheRightToReadPodsNobodyIsDialled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		w.podError = apierrors.NewForbidden(corev1.Resource("pods"), "api", nil)
		r := w.start(t, Config{})
		defer r.stop()
		b := backend("api", ca.trust("api"))
		r.Put(gateways(gateway(web, b)))
		w.deploy(r, "api", 0, 3, presents(ca.good))
		pass(soon + time.Second)
		if got := r.said(b); got != "3: unasked 3 Forbidden" || len(w.log()) > 0 {
			t.Errorf("got %q, dialled %v", got, w.log())
		}
		// The component is applied.
		w.mu.Lock()
		w.podError = nil
		w.mu.Unlock()
		pass(3 * interval)
		if got := r.said(b); got != "3: 3 Verified" {
			t.Errorf("with the right to: %q", got)
		}
	})
}

// TestOfTwoClaimsToAnAddressOnlyTheOwnersCounts: two namespaces may claim one
// address, and only the one whose Pod has it is told what is there.
func TestOfTwoClaimsToAnAddressOnlyTheOwnersCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ca := newWorld(), newAuthority(t)
		r := w.start(t, Config{})
		defer r.stop()
		w.place("api", "10.0.0.7", presents(ca.good))
		w.place("liar", "10.0.0.8", presents(ca.good))
		honest, lying := backend("api", ca.trust("api")), backend("liar", ca.trust("liar"))
		r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "api"}, slice("api", endpoint("10.0.0.7", "", "api")))
		r.SetSlices(types.NamespacedName{Namespace: "shop", Name: "liar"}, slice("liar", endpoint("10.0.0.7", "", "liar")))
		r.Put(gateways(gateway(web, honest, lying)))
		pass(soon + time.Second)
		if got := r.said(honest); got != "1: 1 Verified" {
			t.Errorf("the owner: %s", got)
		}
		if got := r.said(lying); got != "1: unasked 1 NotOwned" {
			t.Errorf("the other: %s", got)
		}
	})
}
