package edit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

const livePolicy = `
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: api, namespace: shop}
spec:
  targetRefs: [{group: "", kind: Service, name: api}]
  validation: {hostname: api.shop.svc, wellKnownCACertificates: System}
  options:
    example.com/theirs: x
    backendtls.dev/mode: InsecureSkipVerification
    backendtls.dev/mode-reason: because
`

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	parsed := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &parsed.Object); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// desk is a server with the live policy, which kubectl apply created.
func desk(t *testing.T) (*apiservertest.Server, edit.Server) {
	t.Helper()
	api := apiservertest.New(t, object(t, livePolicy))
	scheme, err := collect.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	connected, err := client.New(&rest.Config{Host: api.URL, QPS: -1}, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
	if err != nil {
		t.Fatal(err)
	}
	return api, edit.Server{Client: connected}
}

var apiName = types.NamespacedName{Namespace: "shop", Name: "api"}

// patch is the edit of the policy as it is now.
func patch(t *testing.T, server edit.Server, change edit.Edit) edit.Patch {
	t.Helper()
	live, err := server.Get(t.Context(), edit.Policies, apiName)
	if err != nil || live == nil {
		t.Fatalf("%v, %v", live, err)
	}
	return change.Patch(live)
}

func write(t *testing.T, server edit.Server, change edit.Edit) *unstructured.Unstructured {
	t.Helper()
	written, err := server.Write(t.Context(), patch(t, server, change))
	if err != nil {
		t.Fatal(err)
	}
	return written
}

func held(object *unstructured.Unstructured) map[string]string {
	held, _, _ := unstructured.NestedStringMap(object.Object, "spec", "options")
	return held
}

func pins(value string) edit.Edit {
	return edit.Edit{Options: map[string]*string{edit.OptionPins: &value, edit.OptionPinsOnly: new("true")}}
}

// applied is what we own by apply.
func applied(t *testing.T, object *unstructured.Unstructured) string {
	t.Helper()
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == edit.Manager && entry.Operation == "Apply" {
			// The types are deduced, so that a structure looks like a mapping.
			return strings.ReplaceAll(string(entry.FieldsV1.GetRawBytes()), `".":{},`, "")
		}
	}
	return ""
}

func TestAnOptionIsAppliedAndNothingElseIsOwned(t *testing.T) {
	api, server := desk(t)
	written := write(t, server, pins("spki-sha256:new"))
	want := map[string]string{
		"example.com/theirs": "x", edit.OptionMode: "InsecureSkipVerification", edit.OptionReason: "because",
		edit.OptionPins: "spki-sha256:new", edit.OptionPinsOnly: "true",
	}
	if diff := cmp.Diff(want, held(written)); diff != "" {
		t.Error(diff)
	}
	if got := applied(t, written); got !=
		`{"f:spec":{"f:options":{"f:backendtls.dev/pins":{},"f:backendtls.dev/pins-only":{}}}}` {
		t.Error(got)
	}
	requests := api.Requests()
	last := requests[len(requests)-1]
	if last.ContentType != string(types.ApplyPatchType) || last.FieldManager != edit.Manager || last.Force || last.DryRun {
		t.Errorf("%+v", last)
	}
	var body struct {
		Metadata struct{ UID, ResourceVersion string }
		Spec     map[string]any
	}
	if err := json.Unmarshal([]byte(last.Body), &body); err != nil {
		t.Fatal(err)
	}
	if body.Metadata.UID == "" || body.Metadata.ResourceVersion == "" || len(body.Spec) != 1 {
		t.Errorf("%s", last.Body)
	}
}

func TestASecondApplyKeepsWhatTheFirstOneSet(t *testing.T) {
	_, server := desk(t)
	write(t, server, pins("spki-sha256:new"))
	reason := "another"
	written := write(t, server, edit.Edit{Options: map[string]*string{edit.OptionSince: &reason}})
	if got := held(written)[edit.OptionPins]; got != "spki-sha256:new" {
		t.Errorf("pins are %q", got)
	}
	if got := applied(t, written); !strings.Contains(got, "f:backendtls.dev/pins\"") ||
		!strings.Contains(got, "f:backendtls.dev/mode-since") {
		t.Error(got)
	}
}

func TestAKeyThatOnlyWeAppliedIsRemovedByApply(t *testing.T) {
	api, server := desk(t)
	write(t, server, pins("spki-sha256:new"))
	written := write(t, server, edit.Edit{Options: map[string]*string{edit.OptionPins: nil, edit.OptionPinsOnly: nil}})
	if has := held(written); has[edit.OptionPins] != "" || has[edit.OptionPinsOnly] != "" || has["example.com/theirs"] != "x" {
		t.Errorf("%v", has)
	}
	requests := api.Requests()
	if last := requests[len(requests)-1]; last.ContentType != string(types.ApplyPatchType) {
		t.Errorf("%+v", last)
	}
}

// TestAKeyOfAnotherManagerIsRemovedInTheSameWriteThatSetsOurs is about what
// server-side apply cannot say.
func TestAKeyOfAnotherManagerIsRemovedInTheSameWriteThatSetsOurs(t *testing.T) {
	for _, theirs := range []string{"argocd-controller", "kubectl-client-side-apply"} {
		t.Run(theirs, func(t *testing.T) {
			api, server := desk(t)
			if theirs == "argocd-controller" {
				if err := api.Apply(object(t, livePolicy), theirs); err != nil {
					t.Fatal(err)
				}
			}
			change := pins("spki-sha256:new")
			change.Options[edit.OptionMode], change.Options[edit.OptionReason] = nil, nil
			before := len(api.Requests())
			written := write(t, server, change)
			want := map[string]string{
				"example.com/theirs": "x", edit.OptionPins: "spki-sha256:new", edit.OptionPinsOnly: "true",
			}
			if diff := cmp.Diff(want, held(written)); diff != "" {
				t.Error(diff)
			}
			writes := 0
			for _, request := range api.Requests()[before:] {
				if request.Writes() {
					writes++
				}
			}
			if writes != 1 {
				t.Errorf("%d writes, want one: in between nobody knows what holds", writes)
			}
		})
	}
}

func TestTheLastOptionTakesItsMappingAlong(t *testing.T) {
	api, server := desk(t)
	alone := object(t, livePolicy)
	unstructured.RemoveNestedField(alone.Object, "spec", "options", "example.com/theirs")
	if err := api.Put(alone, "kubectl-client-side-apply"); err != nil {
		t.Fatal(err)
	}
	written := write(t, server, edit.SkipVerifyOff())
	if _, found, _ := unstructured.NestedMap(written.Object, "spec", "options"); found {
		t.Errorf("%v", written.Object["spec"])
	}
}

func TestWhoLosesAFieldIsNamed(t *testing.T) {
	api, server := desk(t)
	theirs := object(t, strings.Replace(livePolicy, "  options:", "  options:\n    backendtls.dev/pins: spki-sha256:old", 1))
	if err := api.Apply(theirs, "argocd-controller"); err != nil {
		t.Fatal(err)
	}
	change := pins("spki-sha256:new")
	change.Options[edit.OptionMode] = nil
	p := patch(t, server, change)
	taken, err := p.Taken()
	if err != nil {
		t.Fatal(err)
	}
	want := []edit.Taken{
		{Manager: "argocd-controller", Fields: []string{edit.OptionMode, edit.OptionPins}},
		{Manager: "kubectl-client-side-apply", Fields: []string{edit.OptionMode}},
	}
	if diff := cmp.Diff(want, taken); diff != "" {
		t.Error(diff)
	}
	if who, outcome := taken[0].Who(), taken[0].Outcome(); who != "Argo CD (argocd-controller)" || outcome != "it will undo this" {
		t.Errorf("%s %s", who, outcome)
	}
}

func TestAFieldOfAnotherManagerIsTakenByForce(t *testing.T) {
	api, server := desk(t)
	theirs := object(t, strings.Replace(livePolicy, "  options:", "  options:\n    backendtls.dev/pins: spki-sha256:old", 1))
	if err := api.Apply(theirs, "argocd-controller"); err != nil {
		t.Fatal(err)
	}
	written := write(t, server, pins("spki-sha256:new"))
	if got := held(written)[edit.OptionPins]; got != "spki-sha256:new" {
		t.Errorf("pins are %q", got)
	}
	requests := api.Requests()
	if last := requests[len(requests)-1]; !last.Force || last.ContentType != string(types.ApplyPatchType) {
		t.Errorf("%+v", last)
	}
}

// TestAChangedPolicyIsNotWritten: whatever changes between what was shown and
// the write, nothing is written.
func TestAChangedPolicyIsNotWritten(t *testing.T) {
	other := strings.Replace(livePolicy, "because", "something else", 1)
	for _, test := range []struct {
		name    string
		happens func(*testing.T, *apiservertest.Server)
		want    string
	}{
		{"somebody changed it", func(t *testing.T, api *apiservertest.Server) {
			if err := api.Put(object(t, other), "kubectl-edit"); err != nil {
				t.Fatal(err)
			}
		}, "btlspolicy/api has changed since the change was shown: run the command again"},
		{"it was deleted", func(_ *testing.T, api *apiservertest.Server) {
			api.Delete("backendtlspolicies", "shop", "api")
		}, "btlspolicy/api is gone: run the command again"},
		{"it was deleted and made again", func(t *testing.T, api *apiservertest.Server) {
			api.Delete("backendtlspolicies", "shop", "api")
			if err := api.Put(object(t, livePolicy), "kubectl-create"); err != nil {
				t.Fatal(err)
			}
		}, "has changed since"},
		{"somebody else took the key over", func(t *testing.T, api *apiservertest.Server) {
			if err := api.Apply(object(t, livePolicy), "argocd-controller"); err != nil {
				t.Fatal(err)
			}
		}, "has changed since"},
	} {
		t.Run(test.name, func(t *testing.T) {
			api, server := desk(t)
			p := patch(t, server, edit.SkipVerifyOff())
			test.happens(t, api)
			before := api.Get("backendtlspolicies", "shop", "api")
			_, err := server.Write(t.Context(), p)
			if !errors.Is(err, edit.ErrChanged) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
			if diff := cmp.Diff(before, api.Get("backendtlspolicies", "shop", "api")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAStatusThatChangedMeanwhileIsNoObstacle(t *testing.T) {
	api, server := desk(t)
	p := patch(t, server, edit.SkipVerifyOff())
	api.SetStatus("backendtlspolicies", "shop", "api", map[string]any{"ancestors": []any{}})
	written, err := server.Write(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if has := held(written); has[edit.OptionMode] != "" {
		t.Errorf("%v", has)
	}
}

func TestADryRunStoresNothing(t *testing.T) {
	api, server := desk(t)
	before := api.Get("backendtlspolicies", "shop", "api")
	for _, change := range []edit.Edit{pins("spki-sha256:new"), edit.SkipVerifyOff()} {
		outcome, err := server.DryRun(t.Context(), patch(t, server, change))
		if err != nil {
			t.Fatal(err)
		}
		if cmp.Equal(held(before), held(outcome)) {
			t.Errorf("the outcome is as before: %v", held(outcome))
		}
	}
	if diff := cmp.Diff(before, api.Get("backendtlspolicies", "shop", "api")); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsCreatedMustNotExist(t *testing.T) {
	_, server := desk(t)
	_, err := server.Write(t.Context(), edit.Patch{New: object(t, livePolicy)})
	if !errors.Is(err, edit.ErrChanged) || !strings.Contains(err.Error(), "btlspolicy/api exists by now") {
		t.Errorf("error %v", err)
	}
}

func TestARefusalByAdmissionIsPassedOn(t *testing.T) {
	api, server := desk(t)
	api.Admit = func(*unstructured.Unstructured) error {
		return apierrors.NewForbidden(edit.Policies.GroupVersion().WithResource("backendtlspolicies").GroupResource(), "api",
			errors.New("ValidatingAdmissionPolicy denied the request: not here"))
	}
	if _, err := server.DryRun(t.Context(), patch(t, server, pins("x"))); err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("error %v", err)
	}
}

func TestWhatAdmissionChangesBesideIsSeen(t *testing.T) {
	api, server := desk(t)
	api.Admit = func(object *unstructured.Unstructured) error {
		return unstructured.SetNestedField(object.Object, "y", "spec", "options", "example.com/theirs")
	}
	p := patch(t, server, pins("spki-sha256:new"))
	outcome, err := server.DryRun(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	want := []edit.Difference{
		{Sign: edit.Removed, Field: "options.example.com/theirs", Value: "x"},
		{Sign: edit.Added, Field: "options.example.com/theirs", Value: "y"},
	}
	if diff := cmp.Diff(want, p.Beside(outcome)); diff != "" {
		t.Error(diff)
	}
}

func TestAKindThatIsNotServedIsNoMissingObject(t *testing.T) {
	api, server := desk(t)
	api.Unserved = []string{"backendtlspolicies"}
	_, err := server.Get(t.Context(), edit.Policies, apiName)
	if err == nil || !strings.Contains(err.Error(), "does not serve gateway.networking.k8s.io/v1 BackendTLSPolicy") {
		t.Errorf("error %v", err)
	}
}
