package session

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/edit"
)

// How often status is asked for: at first the operator is expected to answer
// within a moment.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 2 * time.Second
)

// endless is a wait that only its context ends.
const endless time.Duration = math.MaxInt64

// Acknowledged follows the Envoys after Commit, until ctx ends.
func (p *Plan) Acknowledged(ctx context.Context, tell func(text string)) error {
	said := ""
	settled, err := p.Await(ctx, endless, func(text string) {
		if text != said {
			said = text
			tell(text)
		}
	})
	if len(settled) > 0 {
		tell(strings.Join(settled, "\n"))
	}
	return err
}

// Await follows what becomes of a written policy on every Gateway of ours: it
// waits until status says so for the generation that was written, until the wait
// is over or ctx ends; 0 is for no wait at all. Waiting is told whenever status was read,
// what is waited for. Settled says what became of it, a line for each Gateway
// where it is in force. Written is not in force: an error says for which
// Gateways that is not so.
func (p *Plan) Await(ctx context.Context, wait time.Duration, waiting func(text string)) (settled []string, err error) {
	server, live := p.medium.(*onServer)
	if !live {
		return []string{"written to " + p.Written() + ": an operator that reads these files takes it from there"}, nil
	}
	expected := p.gateways()
	if wait == 0 || len(expected) == 0 && len(edit.Reporting(p.after)) == 0 {
		return nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	standings, asked := p.follow(bounded, server, expected, waiting)
	if errors.Is(ctx.Err(), context.Canceled) {
		return []string{fmt.Sprintf("btlspolicy/%s is written; whether it is in force says its status.", p.policy.Name)},
			ctx.Err()
	}
	var faults []error
	for _, standing := range standings {
		at := p.place(standing.Gateway)
		switch {
		case !standing.Settled && wait < endless:
			faults = append(faults, fmt.Errorf("written, but %s does not say within %s that it is in force (--wait): %s",
				at, wait, standing.Text))
		case !standing.Settled:
			faults = append(faults, fmt.Errorf("written, but %s does not say that it is in force: %s", at, standing.Text))
		case standing.Failed:
			faults = append(faults, fmt.Errorf("written, but not in force on %s: %s", at, standing.Text))
		default:
			settled = append(settled, fmt.Sprintf("%s: %s", at, standing.Text))
		}
	}
	return settled, errors.Join(append(faults, asked)...)
}

// follow asks for status until it is settled on every Gateway or ctx ends. The
// error is the last one, if the policy could not be read at the end.
func (p *Plan) follow(
	ctx context.Context, m *onServer, expected []gwapi.Key, waiting func(text string),
) (standings []edit.Standing, err error) {
	policy, digest := p.after, ""
	if !m.policy.Changes() && p.configMap != nil {
		// Status speaks of generations of the policy, and this is the one before.
		digest = edit.BundleDigest(p.after, p.configMap)
	}
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		standings = edit.Standings(policy, p.after.Generation, expected)
		if digest != "" {
			standings = edit.Reread(policy, standings, digest)
		}
		if !slices.ContainsFunc(standings, func(one edit.Standing) bool { return !one.Settled }) {
			return standings, nil
		}
		waiting(p.waitingFor(standings))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return standings, err
		case <-timer.C:
		}
		live, failed := m.server.Get(ctx, edit.Policies, p.key().NamespacedName())
		switch {
		case ctx.Err() != nil:
			return standings, err
		case failed != nil:
			err = fmt.Errorf("reading the status of btlspolicy/%s: %w", p.policy.Name, explain(failed))
			continue
		case live == nil:
			return nil, fmt.Errorf("btlspolicy/%s was written, and has been deleted since", p.policy.Name)
		}
		err = nil
		read := &gatewayv1.BackendTLSPolicy{}
		if failed := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, read); failed != nil {
			return standings, fmt.Errorf("reading the status of btlspolicy/%s: %w", p.policy.Name, failed)
		}
		policy = read
	}
}

// gateways are those of ours that lead to what the change is about.
func (p *Plan) gateways() []gwapi.Key {
	var list []gwapi.Key
	for _, port := range p.ports {
		next, _ := p.next.Port(port.Key())
		for _, path := range next.Paths {
			if (path.Ours || claimed(p.next, path)) && !slices.Contains(list, path.Gateway) {
				list = append(list, path.Gateway)
			}
		}
	}
	slices.SortFunc(list, gwapi.CompareKeys)
	return list
}

// place is the Gateway, with its namespace where that is not the policy's.
func (p *Plan) place(key gwapi.Key) string {
	if key.Namespace == p.policy.Namespace {
		return "gateway/" + key.Name
	}
	return key.String()
}

func (p *Plan) waitingFor(standings []edit.Standing) string {
	var list []string
	for _, standing := range standings {
		if !standing.Settled {
			list = append(list, p.place(standing.Gateway)+": "+standing.Text)
		}
	}
	return strings.Join(list, "; ")
}
