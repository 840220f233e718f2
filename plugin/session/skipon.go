package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/view"
)

// SkipRequest is which verification to skip, and for how long.
type SkipRequest struct {
	Naming

	// Mode is an insecure one.
	Mode   model.Mode
	For    time.Duration
	Reason string
	// AllTargets admits a policy with more than one target, AllowUnattached a port
	// that no Gateway of ours leads to.
	AllTargets, AllowUnattached bool
}

// modes are the insecure ones by what they skip: everything, or one check.
var modes = map[string]model.Mode{
	"":       model.InsecureSkipVerification,
	"expiry": model.InsecureAllowExpired,
	"name":   model.InsecureSkipOnlySANVerification,
}

// ModeOf is the mode that skips only that: "" for everything, expiry or name.
func ModeOf(only string) (model.Mode, error) {
	mode, known := modes[only]
	if !known {
		return "", fmt.Errorf("--only is %q: want expiry or name", only)
	}
	return mode, nil
}

// CheckFor refuses a mode without an end.
func CheckFor(duration time.Duration) error {
	if duration == 0 {
		return errors.New("--for is missing or 0: say how long, such as --for 2h")
	}
	return nil
}

// SkipOn drafts that an insecure mode is asked for. It begins now, by the clock
// of the API server; in files by the one that the World was read by.
func (d *Drafter) SkipOn(ctx context.Context, reference target.Reference, request SkipRequest) (*Plan, error) {
	s, err := d.subject(reference)
	if err != nil {
		return nil, err
	}
	wish := edit.SkipVerify{Mode: request.Mode, Since: s.world.Snapshot.Now, For: request.For, Reason: request.Reason}
	if s.world.Live() {
		if wish.Since, err = serverTime(ctx, d.Cluster); err != nil {
			return nil, err
		}
	}
	for _, check := range []func() error{
		func() error { return request.check(s) },
		s.readable,
		s.charted,
		func() error { return s.single(request.AllTargets) },
		func() error { return s.attached(request.AllowUnattached) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	// The hostname is not taken from what is served, as pin does: with the
	// system's roots it would vouch, once the mode is over, for whoever answered
	// while nobody looked.
	p, err := d.plan(s, edit.Create{
		Name: request.PolicyName, Hostname: request.Hostname, WellKnown: gatewayv1.WellKnownCACertificatesSystem,
	})
	if err != nil {
		return nil, err
	}
	if p.edit, err = wish.On(); err != nil {
		return nil, err
	}
	if err := p.preview(ctx); err != nil {
		return nil, err
	}
	p.tell = func(shown *view.Change) error { return p.sayOfSkip(shown, wish) }
	p.confirmation = Confirmation{
		Question: "Write " + p.Written() + "?", Type: p.Policy(), Why: "verification is weakened until " + until(wish),
	}
	p.done = fmt.Sprintf("asks for %s until %s", wish.Mode, until(wish))
	if err := p.allowed(wish); err != nil {
		return nil, err
	}
	return p, nil
}

func until(wish edit.SkipVerify) string { return wish.Until().Format(time.RFC3339) }

func (p *Plan) sayOfSkip(shown *view.Change, wish edit.SkipVerify) error {
	if err := p.changed(shown); err != nil {
		return err
	}
	shown.Say("%s It ends by itself at %s; `skip-verify off` ends it before.", weakens(wish.Mode), until(wish))
	if p.created {
		shown.Say("After that the endpoints need certificates of a public CA for %s: pin what they serve, or name their CA.",
			p.policy.Spec.Validation.Hostname)
	}
	return nil
}

// weakens says what a mode means.
func weakens(mode model.Mode) string {
	switch mode {
	case model.InsecureAllowExpired:
		return "Certificates are accepted whatever their dates, also those of their issuers."
	case model.InsecureSkipOnlySANVerification:
		return "Any certificate of the trusted CA is accepted, whatever name it carries."
	default:
		return "Any certificate is accepted: anybody on the path can read and change what is sent."
	}
}
