package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// How often status is asked for: at first the operator is expected to answer
// within a moment.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 2 * time.Second
)

// await says what becomes of a written policy on every Gateway of ours: it waits
// until status says so for the generation that was written. Written is not in
// force: an error says for which Gateways that is not so.
func (o *Options) await(ctx context.Context, d *draft, m *inCluster, wait time.Duration) error {
	expected := d.gateways()
	if !m.policy.Changes() {
		// Status speaks of generations of the policy, and this is the one before.
		o.note("btlspolicy/%s is as it was, so its status does not say when the Envoys have what is now in configmap/%s.",
			d.policy.Name, edit.ConfigMapName(d.policy.Name))
		return nil
	}
	if wait == 0 || len(expected) == 0 && len(edit.Reporting(d.after)) == 0 {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	standings, asked := o.follow(bounded, d, m, expected)
	if ctx.Err() != nil {
		o.note("btlspolicy/%s is written; whether it is in force says its status.", d.policy.Name)
		return ctx.Err()
	}
	var faults []error
	for _, standing := range standings {
		switch {
		case !standing.Settled:
			faults = append(faults, fmt.Errorf("written, but %s does not say within %s that it is in force (--wait): %s",
				place(standing.Gateway, d), wait, standing.Text))
		case standing.Failed:
			faults = append(faults, fmt.Errorf("written, but not in force on %s: %s", place(standing.Gateway, d), standing.Text))
		default:
			o.note("%s: %s", place(standing.Gateway, d), standing.Text)
		}
	}
	return errors.Join(append(faults, asked)...)
}

// follow asks for status until it is settled on every Gateway or the time is
// over. The error is the last one, if the policy could not be read at the end.
func (o *Options) follow(
	ctx context.Context, d *draft, m *inCluster, expected []gwapi.Key,
) (standings []edit.Standing, err error) {
	shown := o.reading("written")
	defer shown.done()
	policy := d.after
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		standings = edit.Standings(policy, d.after.Generation, expected)
		if !slices.ContainsFunc(standings, func(one edit.Standing) bool { return !one.Settled }) {
			return standings, nil
		}
		shown.show(o.fitting(waitingFor(standings, d)))
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return standings, err
		case <-timer.C:
		}
		live, failed := m.server.Get(ctx, edit.Policies, d.key().NamespacedName())
		switch {
		case ctx.Err() != nil:
			return standings, err
		case failed != nil:
			err = fmt.Errorf("reading the status of btlspolicy/%s: %w", d.policy.Name, explain(failed))
			continue
		case live == nil:
			return nil, fmt.Errorf("btlspolicy/%s was written, and has been deleted since", d.policy.Name)
		}
		err = nil
		read := &gatewayv1.BackendTLSPolicy{}
		if failed := runtime.DefaultUnstructuredConverter.FromUnstructured(live.Object, read); failed != nil {
			return standings, fmt.Errorf("reading the status of btlspolicy/%s: %w", d.policy.Name, failed)
		}
		policy = read
	}
}

// gateways are those of ours that lead to what the change is about.
func (d *draft) gateways() []gwapi.Key {
	var list []gwapi.Key
	for _, port := range d.ports {
		next, _ := d.next.Port(port.Key())
		for _, path := range next.Paths {
			if (path.Ours || claimed(d.next, path)) && !slices.Contains(list, path.Gateway) {
				list = append(list, path.Gateway)
			}
		}
	}
	slices.SortFunc(list, gwapi.CompareKeys)
	return list
}

// place is the Gateway, with its namespace where that is not the policy's.
func place(key gwapi.Key, d *draft) string {
	if key.Namespace == d.policy.Namespace {
		return "gateway/" + key.Name
	}
	return key.String()
}

func waitingFor(standings []edit.Standing, d *draft) string {
	var list []string
	for _, standing := range standings {
		if !standing.Settled {
			list = append(list, place(standing.Gateway, d)+": "+standing.Text)
		}
	}
	return strings.Join(list, "; ")
}

// fitting is a text, some of which others wrote, on one line of the terminal
// that stderr is, behind a word.
func (o *Options) fitting(text string) string {
	onStderr := *o
	onStderr.Out = o.ErrOut
	line := []rune(untrusted.Text(text))
	const before = len("written: ") + 1
	if columns := onStderr.columns(); columns > before && len(line) > columns-before {
		line = line[:columns-before]
	}
	return string(line)
}
