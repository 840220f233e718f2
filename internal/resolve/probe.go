package resolve

import (
	"fmt"
	"time"

	"github.com/backendtls/backendtls/internal/api/v1alpha1"
	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// probeSetting is what GatewayParameters say about live checks on one Gateway.
// Where class and Gateway both say whether, both must say yes; of two intervals
// the larger holds.
type probeSetting struct {
	enabled bool
	// disabled is the object that says no, the zero Key where none does.
	disabled gwapi.Key
	// asked is the larger of the intervals that are asked for, 0 for none, and by
	// which object.
	asked time.Duration
	by    gwapi.Key
}

// probing is the setting that holds. What some GatewayParameters would say that
// cannot be used is not known, and may be no.
func (r parameterResult) probing() probeSetting {
	setting := r.probe
	if r.Fault != "" || r.Unseen != "" {
		setting.enabled = false
	}
	return setting
}

// check has the backends of the Gateway looked at where that is asked for. It
// changes nothing of what Envoy gets.
func (g *gatewayNode) check(standalone bool) {
	if standalone {
		return
	}
	if g.model.ProbeInterval = g.parameters.probing().interval(); g.model.ProbeInterval == 0 {
		return
	}
	for i := range g.model.Backends {
		if backend := &g.model.Backends[i]; backend.Written != nil {
			// What is offered decides nothing about a certificate: a port behind routes
			// of two protocols is checked, and counted, once.
			asked := *backend.Written
			asked.ALPN = nil
			backend.Checked = asked.Digest()
		}
	}
}

// add takes in what one object says.
func (s *probeSetting) add(object gwapi.Key, spec *v1alpha1.Probe) {
	if spec == nil {
		return
	}
	switch {
	case spec.Enabled == nil:
	case *spec.Enabled:
		s.enabled = true
	default:
		s.disabled = object
	}
	if spec.Interval != nil && (s.by.IsZero() || spec.Interval.Duration > s.asked) {
		s.asked, s.by = spec.Interval.Duration, object
	}
}

// off says that nothing is to be checked.
func (s probeSetting) off() bool { return !s.enabled || !s.disabled.IsZero() }

// interval is the time between two checks of an endpoint, within the bounds; 0
// for no checks.
func (s probeSetting) interval() time.Duration {
	switch {
	case s.off():
		return 0
	case s.by.IsZero():
		return model.DefaultProbeInterval
	default:
		return min(max(s.asked, model.LeastProbeInterval), model.MostProbeInterval)
	}
}

// remedy says how they are turned on.
func (s probeSetting) remedy() string {
	if !s.disabled.IsZero() {
		return fmt.Sprintf("%s says spec.probe.enabled: false", s.disabled)
	}
	return "the GatewayParameters of its class or its own turn them on by spec.probe.enabled: true, " +
		"and the component manifests/components/probe lets them through"
}

// note says that the interval that is asked for is not the one that holds. The
// CRD refuses such a one; an object may be older than that rule.
func (s probeSetting) note() string {
	if s.off() || s.by.IsZero() || s.interval() == s.asked {
		return ""
	}
	return fmt.Sprintf("; %s spec.probe.interval: %s is not between %s and %s, so it is %s",
		s.by, s.asked, model.LeastProbeInterval, model.MostProbeInterval, s.interval())
}
