package tui

import (
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/session"
)

// probed is what the endpoints of a port answered, and what that was judged by.
type probed struct {
	session.Probed
	// by identity of the path.
	paths map[string]cliv1alpha1.Path
	bases map[string]string
}

// keep keeps what was found, in place of what was found before.
func (d *desk) keep(found session.Probed) {
	p := probed{Probed: found, paths: map[string]cliv1alpha1.Path{}, bases: map[string]string{}}
	for _, path := range found.Paths {
		p.paths[path.Identity()], p.bases[path.Identity()] = path, basis(path)
	}
	d.asked[anonymous(found.Service)] = p
}

// anonymous is a port by what names it alone.
func anonymous(port cliv1alpha1.PortReference) cliv1alpha1.PortReference {
	return cliv1alpha1.PortReference{Namespace: port.Namespace, Name: port.Name, Port: port.Port}
}

// current is a path with what was found when its port was asked, as long as what
// decides is what it was judged by, and with the time that its mode has left now.
func (d *desk) current(path cliv1alpha1.Path) cliv1alpha1.Path {
	if p, ok := d.asked[anonymous(path.Service)]; ok && p.bases[path.Identity()] == basis(path) && !p.lapsed(d.clock) {
		found := p.paths[path.Identity()]
		if !assess.Overtaken(path, p.At, found.Verdict) {
			path.Verdict, path.Endpoints = found.Verdict, found.Endpoints
		}
	}
	if m, ok := modeOf(path); ok && !m.until.IsZero() {
		policy := *path.Policy
		policy.Mode.SecondsLeft = new(seconds(m.until.Sub(d.clock)))
		path.Policy = &policy
	}
	return path
}

// outdated says whether what decides about a port is not what the answers of its
// endpoints were judged by.
func (d *desk) outdated(port cliv1alpha1.PortReference) bool {
	p, ok := d.asked[anonymous(port)]
	if !ok {
		return false
	}
	for _, path := range d.state.Paths {
		if samePort(path.Service, port) && (p.bases[path.Identity()] != basis(path) ||
			assess.Overtaken(path, p.At, p.paths[path.Identity()].Verdict)) {
			return true
		}
	}
	return p.lapsed(d.clock)
}

// lapsed says whether a certificate that was valid when it was seen has expired
// since.
func (p probed) lapsed(now time.Time) bool {
	return slices.ContainsFunc(p.Fetched.Endpoints, func(endpoint cliv1alpha1.EndpointCertificate) bool {
		return slices.ContainsFunc(endpoint.Chain, func(certificate cliv1alpha1.Certificate) bool {
			return certificate.NotAfter.After(p.At) && certificate.NotAfter.Time.Before(now)
		})
	})
}

// basis is what a verdict about a path depends on, apart from the answers of the
// endpoints and from time.
func basis(path cliv1alpha1.Path) string {
	type input struct {
		Policy    *cliv1alpha1.Policy
		Trust     string
		Fault     string
		Addresses []string
	}
	in := input{Fault: path.ListenerFault}
	if path.Policy != nil {
		policy := *path.Policy
		policy.Mode.SecondsLeft, policy.Notes = nil, nil
		policy.Mode.Since, policy.Mode.Until = utc(policy.Mode.Since), utc(policy.Mode.Until)
		in.Policy = &policy
		if policy.Trust != nil {
			in.Trust = policy.Trust.Digest
		}
	}
	for _, endpoint := range path.Endpoints {
		in.Addresses = append(in.Addresses, endpoint.Address+" "+endpoint.Pod)
	}
	// These types always encode.
	encoded, err := json.Marshal(in)
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// utc is the same time in one zone.
func utc(t *metav1.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: t.UTC()}
}

// seconds is a duration in whole seconds, rounded up so that 0 is the very end.
func seconds(left time.Duration) int64 {
	return int64(max(0, left+time.Second-time.Nanosecond) / time.Second)
}
