package plugin

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/backendtls/backendtls/plugin/command"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/plugin/session"
)

// sitting is a Session about the API server; its endpoints are dialed.
func (d *clusterDesk) sitting() *session.Session {
	d.t.Helper()
	options := command.Options{Config: genericclioptions.NewConfigFlags(true), Now: d.config().Now}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	options.Config.AddFlags(flags)
	if err := flags.Set("server", d.api.URL); err != nil {
		d.t.Fatal(err)
	}
	config := d.config()
	config.Filename, config.Cluster = "", command.NewAPI(options, flags)
	return session.New(config)
}

func TestASittingInAClusterWritesAndFollows(t *testing.T) {
	d := newClusterDesk(t)
	s := d.sitting()
	ask := session.PinAsk{Service: port("rotate"), Form: edit.FormSPKI, Seen: fetched(t, s, port("rotate"))}
	draft := drafted(t)(s.Pin(t.Context(), ask))
	key := d.filled("@spki:good@")
	if writes := d.writes(); len(writes) > 0 {
		t.Fatalf("a draft wrote %v", writes)
	}
	difference := draft.Difference()
	if !strings.HasPrefix(difference, "--- btlspolicy/rotate\n+++ btlspolicy/rotate\n@@ ") ||
		!strings.Contains(difference, "\n-      "+d.filled("@cert:other@")+"\n") ||
		strings.Contains(difference, "managedFields") || strings.Contains(difference, "resourceVersion") {
		t.Errorf("%s", difference)
	}
	d.operate("rotate", programmed, "default/web")
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if pins := d.options("rotate")["backendtls.dev/pins"]; pins != key {
		t.Errorf("pins are %q", pins)
	}
	var told []string
	if err := draft.Acknowledged(t.Context(), func(text string) { told = append(told, text) }); err != nil {
		t.Fatal(err)
	}
	if last := told[len(told)-1]; last != "gateway/web: 2 of 2 Envoys acknowledged the policy" {
		t.Errorf("%q", told)
	}
}

func TestADraftInAClusterIsAgainstWhatIsThereNow(t *testing.T) {
	d := newClusterDesk(t)
	s := d.sitting()
	ask := session.PinAsk{Service: port("rotate"), Form: edit.FormSPKI, Seen: fetched(t, s, port("rotate"))}
	// The fetch was of another policy; the draft is of this one.
	d.change("rotate", "fresh")
	draft := drafted(t)(s.Pin(t.Context(), ask))
	if difference := draft.Difference(); strings.Contains(difference, "+    example.com/mine") {
		t.Errorf("%s", difference)
	}
	// What changes after it was drafted is not written over.
	d.change("rotate", "fresher")
	if err := draft.Commit(t.Context()); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("%v", err)
	}
	if options := d.options("rotate"); options["example.com/mine"] != "fresher" || !strings.Contains(options["backendtls.dev/pins"], " ") {
		t.Errorf("%v", options)
	}
}

// change is somebody else's change of a policy.
func (d *clusterDesk) change(policy, value string) {
	d.t.Helper()
	live := d.api.Get("backendtlspolicies", "default", policy)
	if err := unstructured.SetNestedField(live.Object, value, "spec", "options", "example.com/mine"); err != nil {
		d.t.Fatal(err)
	}
	if err := d.api.Put(live, "somebody"); err != nil {
		d.t.Fatal(err)
	}
}

func TestOffInAClusterLooksAgain(t *testing.T) {
	d := newClusterDesk(t)
	draft := drafted(t)(d.sitting().SkipOff(t.Context(), port("shut")))
	d.change("shut", "meanwhile")
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if options := d.options("shut"); len(options) != 1 || options["example.com/mine"] != "meanwhile" {
		t.Errorf("%v", options)
	}
}

func TestAPolicyThatIsDeletedMeanwhileIsNotMadeAgain(t *testing.T) {
	d := newClusterDesk(t)
	draft := drafted(t)(d.sitting().Unpin(t.Context(), port("rotate"), nil))
	d.api.Delete("backendtlspolicies", "default", "rotate")
	if err := draft.Commit(t.Context()); !errors.Is(err, edit.ErrChanged) {
		t.Errorf("%v", err)
	}
	if live := d.api.Get("backendtlspolicies", "default", "rotate"); live != nil {
		t.Errorf("there is %v", live)
	}
}

func TestAModeOfASittingBeginsByTheAPIServersClock(t *testing.T) {
	d := newClusterDesk(t)
	ask := session.SkipAsk{Service: port("new"), For: 2 * 3600e9, Reason: "no certificate yet"}
	draft := drafted(t)(d.sitting().SkipOn(t.Context(), ask))
	if confirmation := draft.Confirmation(); confirmation.Type != "new" || !strings.Contains(confirmation.Why, "2026-11-21T14:00:00Z") {
		t.Errorf("%+v", confirmation)
	}
	if difference := draft.Difference(); !strings.HasPrefix(difference, "--- /dev/null\n+++ btlspolicy/new\n") {
		t.Errorf("%s", difference)
	}
	d.api.Undated = true
	if _, err := d.sitting().SkipOn(t.Context(), ask); err == nil || !strings.Contains(err.Error(), "did not say what time it is") {
		t.Errorf("%v", err)
	}
}

func TestWhoeverLeavesStopsFollowing(t *testing.T) {
	d := newClusterDesk(t)
	draft := drafted(t)(d.sitting().Unpin(t.Context(), port("rotate"), nil))
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	err := draft.Acknowledged(ctx, func(text string) {
		if strings.Contains(text, "has not spoken of generation") {
			leave()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestALeafBundleIsPartOfTheDifference(t *testing.T) {
	d := newClusterDesk(t)
	s := d.sitting()
	ask := session.PinAsk{Service: port("api"), Form: edit.FormLeaf, Seen: fetched(t, s, port("api"))}
	draft := drafted(t)(s.Pin(t.Context(), ask))
	for _, want := range []string{"+++ configmap/api-backendtls\n", "+++ btlspolicy/api\n", "configmap/api-backendtls:leaf.crt"} {
		if !strings.Contains(draft.Difference(), want) {
			t.Errorf("%q is not in\n%s", want, draft.Difference())
		}
	}
	if err := draft.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, write := range d.writes() {
		order = append(order, write.Resource)
	}
	if strings.Join(order, " ") != "configmaps backendtlspolicies" {
		t.Errorf("written were %v", order)
	}
	// A World that was read before knows nothing of it.
	if draft = drafted(t)(s.Pin(t.Context(), ask)); draft.Changes() || draft.Difference() != "" {
		t.Errorf("there is more to write:\n%s", draft.Difference())
	}
}
