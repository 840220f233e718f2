package session

import (
	"context"

	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// ServerName is what is sent to the endpoints of a port: the hostname of its
// policy, which is what Envoy sends, else the name of the Service in a cluster.
func ServerName(port collect.Port) string {
	if hostname := port.Hostname(); hostname != "" {
		return hostname
	}
	return port.Service.Name + "." + port.Service.Namespace + ".svc"
}

// observe asks every endpoint of the ports for its certificates. What the
// person may not ask is a notice, each cause once.
func (s *Session) observe(
	ctx context.Context, ports []collect.Port, serverName func(collect.Port) string, progress Progress,
) (tunnel.Observations, error) {
	var jobs []tunnel.Job
	for _, port := range ports {
		for _, endpoint := range port.Endpoints {
			jobs = append(jobs, tunnel.Job{Endpoint: endpoint, SNI: serverName(port)})
		}
	}
	prober := tlsprobe.Prober{Dial: s.config.Dial, Now: s.now, Timeout: s.config.ProbeTimeout}
	told := func(done, of int) {
		if progress != nil {
			progress(done, of, "")
		}
	}
	if s.config.Via != ViaPortForward || len(jobs) == 0 {
		return tunnel.Fetch(ctx, prober, jobs, told)
	}
	config, err := s.config.Cluster.RESTConfig()
	if err != nil {
		return nil, err
	}
	through, err := tunnel.NewThrough(config, prober)
	if err != nil {
		return nil, err
	}
	observed, err := tunnel.Fetch(ctx, through, jobs, told)
	for _, forbidden := range through.Forbidden() {
		s.Notice(forbidden.Error() + "; --via direct asks the addresses from here")
	}
	return observed, err
}
