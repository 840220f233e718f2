package probe

import (
	"context"
	"crypto/x509"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/internal/verify"
)

// outcome is what came of asking a target.
type outcome struct {
	// unasked says why nobody was dialled, "" if somebody was.
	unasked string
	// unknown says that nothing was learned.
	unknown bool
	seen    model.Observation
}

// ask makes sure that the Pod has the address for itself, and makes one handshake
// with it.
func (p *Prober) ask(ctx context.Context, where place) outcome {
	bounded, cancel := context.WithTimeout(ctx, p.config.Timeout)
	pod, err := p.config.Pod(bounded, where.pod.NamespacedName())
	cancel()
	switch {
	case apierrors.IsNotFound(err):
		return outcome{unasked: model.ProbeNotOwned}
	case apierrors.IsForbidden(err):
		return outcome{unasked: model.ProbeForbidden}
	case err != nil:
		if ctx.Err() == nil {
			p.complain(where.pod.NamespacedName(), err)
		}
		return outcome{unknown: true}
	case !owns(pod, where.pod.NamespacedName(), where.address.Addr()):
		return outcome{unasked: model.ProbeNotOwned}
	case ctx.Err() != nil || !p.config.Leading():
		return outcome{unknown: true}
	}
	prober := tlsprobe.Prober{Dial: p.config.Dial, Now: time.Now, Timeout: p.config.Timeout}
	seen := prober.Probe(ctx, model.Endpoint{Address: where.address, Pod: where.pod, Ready: true}, where.sni)
	if ctx.Err() != nil {
		return outcome{unknown: true} // It was this end that broke off.
	}
	return outcome{seen: seen}
}

// complain tells the log that Pods cannot be read, once in a while however many
// they are: nobody is asked meanwhile, and no status says why.
func (p *Prober) complain(pod types.NamespacedName, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread++
	now := time.Now()
	if now.Sub(p.complained) < complaints {
		return
	}
	p.config.Log.Warn("a live check could not read the Pod that has the address, and did not ask it",
		"pod", pod.String(), "checks", p.unread, "error", err.Error())
	p.complained, p.unread = now, 0
}

// owns says whether a Pod that runs has the address for itself. The address of a
// node is no Pod's own, whatever Pods may use it; that of a Pod that is being
// deleted may be another's before its object says so.
func owns(pod *corev1.Pod, name types.NamespacedName, address netip.Addr) bool {
	if pod.Namespace != name.Namespace || pod.Name != name.Name || pod.Spec.HostNetwork ||
		pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	same := func(text string) bool {
		ip, err := netip.ParseAddr(text)
		return err == nil && ip.Unmap() == address
	}
	if same(pod.Status.HostIP) ||
		slices.ContainsFunc(pod.Status.HostIPs, func(h corev1.HostIP) bool { return same(h.IP) }) {
		return false
	}
	return slices.ContainsFunc(pod.Status.PodIPs, func(i corev1.PodIP) bool { return same(i.IP) })
}

// refuses says whether an address is never dialled, whoever claims to have it.
func (p *Prober) refuses(ip netip.Addr) bool {
	ip = ip.Unmap()
	return !ip.IsValid() || ip.Zone() != "" || ip.IsUnspecified() || ip.IsLoopback() || ip.IsMulticast() ||
		ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast() || ip.IsInterfaceLocalMulticast() ||
		ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || slices.Contains(p.config.Refused, ip)
}

// unreachable says that there was no answer, which pods that come and go give
// too.
func (o *outcome) unreachable() bool {
	return !o.unknown && o.unasked == "" &&
		(o.seen.Fault == model.FaultUnreachable || o.seen.Fault == model.FaultTimeout)
}

// judge says what the outcome means under a policy as written. Nothing of
// what the peer said is kept but hashes and times.
func (o *outcome) judge(trust *model.Trust, now time.Time) *member {
	if o.unasked != "" {
		return &member{result: o.unasked, unasked: true, at: now}
	}
	judged := &member{at: now, result: string(verify.Verdict(verify.Observed(o.seen, trust, now)))}
	if len(o.seen.Chain) == 0 {
		return judged
	}
	judged.leaf = pin.OfDER(o.seen.Chain[0]).String()
	leaf, err := x509.ParseCertificate(o.seen.Chain[0])
	if err != nil {
		return judged
	}
	judged.notAfter = leaf.NotAfter
	if judged.result == string(verify.Verified) && expires(leaf, trust, now) {
		judged.result = model.ProbeExpiring
	}
	return judged
}

// most is when a certificate at the latest counts as one that ends soon.
const most = 7 * 24 * time.Hour

// expires says whether a certificate, where dates are checked, is in the last
// tenth of its life or the last week, whichever is shorter: those that live for
// hours are renewed late.
func expires(leaf *x509.Certificate, trust *model.Trust, now time.Time) bool {
	if len(trust.Anchors) == 0 || trust.IgnoreTime {
		return false
	}
	return leaf.NotAfter.Sub(now) < min(most, leaf.NotAfter.Sub(leaf.NotBefore)/10)
}
