package command

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/tlsprobe"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// InterruptedError says how far it had come when somebody ended it.
type InterruptedError struct {
	// Asked of Of endpoints have answered, or have been given up.
	Asked, Of int
	Err       error
}

// Error counts them.
func (e *InterruptedError) Error() string {
	return fmt.Sprintf("interrupted: %d of %d endpoints asked", e.Asked, e.Of)
}

// Unwrap is why the context ended.
func (e *InterruptedError) Unwrap() error { return e.Err }

// Observe asks every endpoint of the ports for its certificates, the way that
// Redirect chose. Progress is shown on stderr, if that is a terminal. Where ctx
// ends before all have answered, the error is an InterruptedError, and what the
// others said is returned with it.
func (o *Options) Observe(ctx context.Context, f *ProbeFlags, ports []collect.Port) (tunnel.Observations, error) {
	observed, _, err := o.observe(ctx, f, ports)
	return observed, err
}

// answers are those of the ports' endpoints, or of the addresses that were given
// in their place. An interruption is no error: what was answered until then is
// shown before it is returned.
func (o *Options) answers(ctx context.Context, f *ProbeFlags, ports []collect.Port, named bool) (
	asked []collect.Port, observed tunnel.Observations, interrupted *InterruptedError, err error,
) {
	if asked, err = o.Redirect(ctx, f, ports); err != nil {
		return nil, nil, nil, err
	}
	if named {
		observed, err = o.observeNamed(ctx, f, asked)
	} else {
		observed, err = o.Observe(ctx, f, asked)
	}
	if ended, is := errors.AsType[*InterruptedError](err); is {
		return asked, observed, ended, nil
	}
	return asked, observed, nil, err
}

// observeNamed is Observe of what somebody named: what seems to be wrong with an
// endpoint's server name is looked at by one more handshake, without any. The
// answers to that are under questions that have none.
func (o *Options) observeNamed(ctx context.Context, f *ProbeFlags, ports []collect.Port) (tunnel.Observations, error) {
	observed, ask, err := o.observe(ctx, f, ports)
	if err != nil {
		return observed, err
	}
	var doubtful []tunnel.Job
	for question, seen := range observed {
		if question.SNI != "" && misnamed(seen) {
			doubtful = append(doubtful, tunnel.Job{Endpoint: seen.Endpoint})
		}
	}
	more, err := ask(ctx, doubtful)
	maps.Copy(observed, more)
	return observed, err
}

// asker asks endpoints.
type asker func(ctx context.Context, jobs []tunnel.Job) (tunnel.Observations, error)

func (o *Options) observe(
	ctx context.Context, f *ProbeFlags, ports []collect.Port,
) (tunnel.Observations, asker, error) {
	var jobs []tunnel.Job
	for _, port := range ports {
		for _, endpoint := range port.Endpoints {
			jobs = append(jobs, tunnel.Job{Endpoint: endpoint, SNI: f.ServerName(port)})
		}
	}
	prober := tlsprobe.Prober{Dial: o.Dial, Now: o.serverNow, Timeout: f.Timeout}
	if f.Via != session.ViaPortForward || len(jobs) == 0 {
		ask := o.asking(prober)
		observed, err := ask(ctx, jobs)
		return observed, ask, err
	}
	config, err := o.API.RESTConfig()
	if err != nil {
		return nil, nil, err
	}
	through, err := tunnel.NewThrough(config, prober)
	if err != nil {
		return nil, nil, err
	}
	ask := o.asking(through)
	observed, err := ask(ctx, jobs)
	for _, forbidden := range through.Forbidden() {
		o.Warn("%s; --via direct asks the addresses from here", forbidden)
	}
	return observed, ask, err
}

// asking asks endpoints by the prober, and shows how far it is.
func (o *Options) asking(prober tunnel.Prober) asker {
	return func(ctx context.Context, jobs []tunnel.Job) (tunnel.Observations, error) {
		progress := o.reading("asking endpoints")
		defer progress.done()
		different := map[tunnel.Question]bool{}
		for _, job := range jobs {
			different[job.Question()] = true
		}
		observed, err := tunnel.Fetch(ctx, prober, jobs, func(done, of int) {
			progress.show(fmt.Sprintf("%d of %d", done, of))
		})
		if err != nil {
			err = &InterruptedError{Asked: len(observed), Of: len(different), Err: err}
		}
		return observed, err
	}
}

// misnamed says whether an endpoint seems not to know the server name that it was
// asked by: its certificate is for others, or it ended the handshake as servers
// without a certificate for a name do.
func misnamed(seen model.Observation) bool {
	if len(seen.Chain) == 0 {
		return seen.Fault == model.FaultHandshake && seen.Alert != 0 && !seen.ClientCertificate
	}
	leaf, err := x509.ParseCertificate(seen.Chain[0])
	return err == nil && leaf.VerifyHostname(seen.SNI) != nil
}
