package edit_test

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
	"github.com/backendtls/backendtls/test/pki"
)

func joined(pins ...pin.Pin) string {
	slices.SortFunc(pins, pin.Compare)
	var texts []string
	for _, one := range slices.Compact(pins) {
		texts = append(texts, one.String())
	}
	return strings.Join(texts, " ")
}

func TestPinsAreExactlyWhatIsServedAndNext(t *testing.T) {
	b := backend{t}
	a, c := b.selfSigned(request("a")), b.selfSigned(request("c"))
	next := b.selfSigned(request("next"))
	keyNext := edit.Next{Key: key(next)}
	first, second := a, c
	if pin.Compare(key(first), key(second)) > 0 {
		first, second = c, a
	}
	certificateNext := edit.Next{Key: key(next), Certificate: next.Certificate}
	for name, test := range map[string]struct {
		before  *gatewayv1.BackendTLSPolicy
		request edit.Request
		want    map[string]string
	}{
		"keys, beside a CA": {
			policy(t, withCA),
			edit.Request{Form: edit.FormSPKI, Live: live(a, c, a)},
			map[string]string{edit.OptionPins: joined(key(a), key(c)), edit.OptionPinsOnly: "true"},
		},
		"keys, in the order that they have": {
			policy(t, withCA, edit.OptionPins+": "+key(second).String()+" "+key(first).String()),
			edit.Request{Form: edit.FormSPKI, Live: live(first, next, second, first)},
			map[string]string{
				edit.OptionPins:     key(second).String() + " " + key(first).String() + " " + key(next).String(),
				edit.OptionPinsOnly: "true",
			},
		},
		"keys, without any CA": {
			policy(t, pinnedOnly),
			edit.Request{Form: edit.FormSPKI, Live: live(a)},
			map[string]string{edit.OptionPins: joined(key(a))},
		},
		"keys, and behind them the next one": {
			policy(t, withSystem),
			edit.Request{Form: edit.FormSPKI, Live: live(a), Next: []edit.Next{keyNext, keyNext}},
			map[string]string{edit.OptionPins: joined(key(a)) + " " + joined(key(next)), edit.OptionPinsOnly: "true"},
		},
		"keys, in place of others and of certificates, nothing else": {
			policy(t, withCA, edit.OptionPins+": "+key(c).String(), edit.OptionPinsOnly+`: "true"`,
				edit.OptionCertificates+": configmap/x", "example.com/other: kept", edit.OptionReason+": kept"),
			edit.Request{Form: edit.FormSPKI, Live: live(a)},
			map[string]string{
				edit.OptionPins: joined(key(a)), edit.OptionPinsOnly: "true",
				"example.com/other": "kept", edit.OptionReason: "kept",
			},
		},
		"certificates": {
			policy(t, withCA),
			edit.Request{Form: edit.FormCertificate, Live: live(a), Next: []edit.Next{certificateNext}},
			map[string]string{edit.OptionPins: joined(certificate(a)) + " " + joined(certificate(next)), edit.OptionPinsOnly: "true"},
		},
		"pins-only where PinnedOnly says it": {
			policy(t, pinnedOnly, edit.OptionPinsOnly+`: "true"`, edit.OptionPins+": "+key(c).String()),
			edit.Request{Form: edit.FormCertificate, Live: live(a)},
			map[string]string{edit.OptionPins: joined(certificate(a))},
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := test.before.DeepCopy()
			test.request.Now = now
			got, err := edit.Pin(test.before, test.request)
			if err != nil {
				t.Fatal(err)
			}
			if after := options(t, test.before, got.Edit); !maps.Equal(after, test.want) {
				t.Errorf("options are %v, want %v", after, test.want)
			}
			if got.ConfigMap != nil || !got.Breaks.Equal(a.Certificate.NotAfter) {
				t.Errorf("ConfigMap %v, breaks %s", got.ConfigMap, got.Breaks)
			}
			after := got.Edit.Apply(test.before)
			after.Spec.Options = before.Spec.Options
			if !reflect.DeepEqual(after, before) || !reflect.DeepEqual(test.before, before) {
				t.Error("something else changed")
			}
		})
	}
}

func TestLeavesAreTrustedThroughAConfigMap(t *testing.T) {
	b := backend{t}
	a, c := b.selfSigned(request("a")), b.selfSigned(request("c"))
	next := edit.Next{Key: key(c), Certificate: c.Certificate}
	before := policy(t, withCA, edit.OptionPins+": "+key(c).String())
	got, err := edit.Pin(before, edit.Request{Form: edit.FormLeaf, Live: live(a, a), Next: []edit.Next{next}, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		edit.OptionCertificates: "configmap/api-backendtls:leaf.crt", edit.OptionPinsOnly: "true",
	}
	if after := options(t, before, got.Edit); !maps.Equal(after, want) {
		t.Errorf("options are %v, want %v", after, want)
	}
	bundle := got.ConfigMap.Data["leaf.crt"]
	if got.ConfigMap.Name != "api-backendtls" || got.ConfigMap.Namespace != "shop" || !edit.Ours(got.ConfigMap) {
		t.Errorf("ConfigMap %+v", got.ConfigMap.ObjectMeta)
	}
	for _, identity := range []*pki.Identity{a, c} {
		if strings.Count(bundle, string(identity.PEM())) != 1 {
			t.Errorf("the bundle does not hold each certificate once:\n%s", bundle)
		}
	}
	if !edit.Refers(got.Edit.Apply(before)) {
		t.Error("the policy does not refer to the ConfigMap")
	}
}

func TestTheAuthorityIsTrustedInStandardFields(t *testing.T) {
	b := backend{t}
	root := b.authority("root")
	intermediateRequest := request("intermediate")
	intermediateRequest.CA = true
	intermediate := b.issue(&pki.Identity{Certificate: root.Certificate, Key: root.Key}, intermediateRequest)
	partial := b.issue(&pki.Identity{Certificate: intermediate.Certificate, Key: intermediate.Key},
		request("leaf", "api.example.com"))
	for name, test := range map[string]struct {
		before  *gatewayv1.BackendTLSPolicy
		served  *pki.Identity
		anchor  *pki.Identity
		partial bool
	}{
		"a root, in place of pins": {
			policy(t, pinnedOnly, edit.OptionPins+": "+key(root).String(), edit.OptionPinsOnly+`: "true"`,
				edit.OptionCertificates+": configmap/x"),
			b.issue(root, request("leaf", "api.example.com")), root, false,
		},
		"a root, in place of another CA": {
			policy(t, withCA), b.issue(root, request("leaf", "api.example.com")), root, false,
		},
		"an intermediate": {policy(t, withSystem), partial, intermediate, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit.Pin(test.before, edit.Request{Form: edit.FormCA, Live: live(test.served, test.served), Now: now})
			if err != nil {
				t.Fatal(err)
			}
			after := got.Edit.Apply(test.before)
			refs := []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "api-backendtls"}}
			validation := after.Spec.Validation
			if !slices.Equal(validation.CACertificateRefs, refs) || validation.WellKnownCACertificates != nil ||
				len(after.Spec.Options) != 0 {
				t.Errorf("after: %+v, %v", validation, after.Spec.Options)
			}
			if want := map[string]string{"ca.crt": string(test.anchor.PEM())}; !maps.Equal(got.ConfigMap.Data, want) {
				t.Errorf("the ConfigMap holds %v", got.ConfigMap.Data)
			}
			if got.Partial != test.partial || !edit.Refers(after) {
				t.Errorf("partial %v, refers %v", got.Partial, edit.Refers(after))
			}
		})
	}
}

func TestAConfigMapOfOursIsReplacedAndOfOthersRefused(t *testing.T) {
	b := backend{t}
	root := b.authority("root")
	served := live(b.issue(root, request("leaf", "api.example.com")))
	ours := &corev1.ConfigMap{
		Namespace: "shop", Name: "api-backendtls", Annotations: map[string]string{"mine": "kept"},
		Labels: map[string]string{"app.kubernetes.io/managed-by": "kubectl-backendtls"},
		Data:   map[string]string{"leaf.crt": "old", "README": "kept"},
	}
	got, err := edit.Pin(policy(t, withCA), edit.Request{Form: edit.FormCA, Live: served, ConfigMap: ours, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"ca.crt": string(root.PEM()), "README": "kept"}
	if !maps.Equal(got.ConfigMap.Data, want) || got.ConfigMap.Annotations["mine"] != "kept" || ours.Data["leaf.crt"] != "old" {
		t.Errorf("ConfigMap %+v", got.ConfigMap)
	}
	theirs := ours.DeepCopy()
	theirs.Labels = nil
	for _, form := range []edit.Form{edit.FormCA, edit.FormLeaf} {
		_, err = edit.Pin(policy(t, withCA), edit.Request{Form: form, Live: served, ConfigMap: theirs, Now: now})
		if err == nil || !strings.Contains(err.Error(), "configmap/api-backendtls exists and is not this plugin's") {
			t.Errorf("--form %s: error %v", form, err)
		}
	}
}

func TestWhatWouldBreakIsNotPinned(t *testing.T) {
	b := backend{t}
	root := b.authority("root")
	keep := b.selfSigned(request("keep"))
	renewed := func() *pki.Identity {
		r := request("renewed")
		r.Key = keep.Key
		return b.selfSigned(r)
	}
	many := func(n int) []edit.Live {
		var served []edit.Live
		for range n {
			served = append(served, live(b.selfSigned(request("many")))...)
			served = append(served, served[len(served)-1]) // not a pin of its own each
		}
		return served
	}
	expired := request("leaf", "api.example.com")
	expired.NotAfter = now.AddDate(0, 0, -1)
	named := b.issue(root, request("leaf", "other.example.com"))
	separate := live(b.selfSigned(request("1")), b.selfSigned(request("2")), b.selfSigned(request("3")))
	longNamed := policy(t, withCA)
	longNamed.Name = strings.Repeat("a", 250)
	nextKey := []edit.Next{{Key: key(keep)}}
	for name, test := range map[string]struct {
		form edit.Form
		live []edit.Live
		next []edit.Next
		on   *gatewayv1.BackendTLSPolicy
		want string
	}{
		"nothing": {edit.FormSPKI, nil, nil, nil, "nothing to pin"},
		"a key for each of three endpoints": {
			edit.FormSPKI, separate, nil, nil, "each of the 3 endpoints serves a key of its own: a new pod will not match; use --form ca",
		},
		"a certificate for each of three endpoints": {
			edit.FormLeaf, separate, nil, nil, "each of the 3 endpoints serves a key of its own",
		},
		"a certificate for each of three endpoints, of one key": {
			edit.FormCertificate, live(renewed(), renewed(), renewed()), nil, nil, "use --form spki or --form ca",
		},
		"too many keys":         {edit.FormSPKI, many(61), nil, nil, "61 different pins, and at most 60 fit"},
		"too many certificates": {edit.FormCertificate, many(54), nil, nil, "54 different pins, and at most 53 fit"},
		"too many leaves":       {edit.FormLeaf, many(54), nil, nil, "54 different certificates, and at most 53"},
		"a next key where the certificate counts": {
			edit.FormCertificate, live(keep), nextKey, nil, "--form certificate needs the next certificate",
		},
		"a next key where the leaf counts": {edit.FormLeaf, live(keep), nextKey, nil, "--form leaf needs the next certificate"},
		"a next key where the CA counts":   {edit.FormCA, live(keep), nextKey, nil, "leave --and-next out"},
		"no CA":                            {edit.FormCA, live(keep), nil, nil, "10.0.0.1:443 presents no certificate of a CA: use --form leaf"},
		"another name":                     {edit.FormCA, live(named), nil, nil, "10.0.0.1:443 does not verify against the CA that it presents"},
		"an expired certificate": {
			edit.FormCA, live(b.issue(root, expired)), nil, nil, "does not verify against the CA that it presents",
		},
		"a foreign chain": {
			edit.FormCA,
			[]edit.Live{{Endpoint: "x", Chain: append(live(keep)[0].Chain, root.Certificate)}},
			nil, nil,
			"x does not verify against the CA that it presents",
		},
		"a name that is too long for the ConfigMap": {edit.FormLeaf, live(keep), nil, longNamed, "cannot be used"},
		"an unknown form": {"key", live(keep), nil, nil, `--form is "key": want spki, certificate, leaf or ca`},
	} {
		t.Run(name, func(t *testing.T) {
			on := test.on
			if on == nil {
				on = policy(t, withCA)
			}
			got, err := edit.Pin(on, edit.Request{Form: test.form, Live: test.live, Next: test.next, Now: now})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q in it; %+v", err, test.want, got.Edit)
			}
		})
	}
}

func TestAsManyPinsAsAllowedFitIntoAnOption(t *testing.T) {
	b := backend{t}
	for form, count := range map[edit.Form]int{edit.FormSPKI: 60, edit.FormCertificate: 53} {
		var served []edit.Live
		for range count {
			one := live(b.selfSigned(request("many")))
			served = append(served, one[0], one[0])
		}
		on := policy(t, withCA)
		got, err := edit.Pin(on, edit.Request{Form: form, Live: served, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		value := options(t, on, got.Edit)[edit.OptionPins]
		if len(value) > 4096 || len(got.New) != count {
			t.Errorf("--form %s: %d pins, %d characters", form, len(got.New), len(value))
		}
	}
}

func TestTwoEndpointsMayHaveAKeyEach(t *testing.T) {
	b := backend{t}
	served := live(b.selfSigned(request("1")), b.selfSigned(request("2")))
	if _, err := edit.Pin(policy(t, withCA), edit.Request{Form: edit.FormSPKI, Live: served, Now: now}); err != nil {
		t.Error(err)
	}
	// One endpoint behind two ports counts once.
	served = append(served, served...)
	if _, err := edit.Pin(policy(t, withCA), edit.Request{Form: edit.FormSPKI, Live: served, Now: now}); err != nil {
		t.Error(err)
	}
}

func TestAKeyChangeIsSeen(t *testing.T) {
	b := backend{t}
	old, fresh, third := b.selfSigned(request("old")), b.selfSigned(request("fresh")), b.selfSigned(request("third"))
	pinsOld := edit.OptionPins + ": " + key(old).String()
	for name, test := range map[string]struct {
		current edit.Current
		served  []edit.Live
		want    bool
	}{
		"nothing was pinned":                {edit.Current{}, live(fresh), false},
		"the same key":                      {edit.Current{Pins: []pin.Pin{key(old)}}, live(old), false},
		"one of the pins":                   {edit.Current{Pins: []pin.Pin{key(old), key(third)}}, live(third), false},
		"one of the endpoints":              {edit.Current{Pins: []pin.Pin{key(old)}}, live(fresh, old), false},
		"none of them":                      {edit.Current{Pins: []pin.Pin{key(old)}}, live(fresh, third), true},
		"a certificate":                     {edit.Current{Pins: []pin.Pin{certificate(old)}}, live(old), false},
		"another certificate":               {edit.Current{Pins: []pin.Pin{certificate(old)}}, live(fresh), true},
		"a refused policy, by its own pins": {edit.CurrentOf(policy(t, withCA, pinsOld), nil, true), live(fresh), true},
		"a refused policy, the same key":    {edit.CurrentOf(policy(t, withCA, pinsOld), nil, true), live(old), false},
		"pins that nobody can read": {
			edit.CurrentOf(policy(t, withCA, edit.OptionPins+": nonsense"), nil, true), live(fresh), true,
		},
		"certificates that nobody could read": {
			edit.CurrentOf(policy(t, withCA, edit.OptionCertificates+": secret/x"), nil, true), live(fresh), true,
		},
		"what is enforced counts": {
			edit.CurrentOf(policy(t, withCA, pinsOld), []pin.Pin{key(third)}, false), live(old), true,
		},
		"a policy that pins nothing": {edit.CurrentOf(policy(t, withCA), nil, true), live(fresh), false},
	} {
		t.Run(name, func(t *testing.T) {
			for _, form := range []edit.Form{edit.FormSPKI, edit.FormCertificate, edit.FormLeaf} {
				got, err := edit.Pin(policy(t, withCA),
					edit.Request{Form: form, Live: test.served, Current: test.current, Now: now})
				if err != nil {
					t.Fatal(err)
				}
				if got.KeyChange != test.want {
					t.Errorf("--form %s: key change %v, want %v", form, got.KeyChange, test.want)
				}
			}
		})
	}
}

func TestAKeyChangeIsSeenUnderACAToo(t *testing.T) {
	b := backend{t}
	served := live(b.issue(b.authority("root"), request("leaf", "api.example.com")))
	current := edit.Current{Pins: []pin.Pin{key(b.selfSigned(request("old")))}}
	got, err := edit.Pin(policy(t, withCA), edit.Request{Form: edit.FormCA, Live: served, Current: current, Now: now})
	if err != nil || !got.KeyChange {
		t.Errorf("key change %v, error %v", got.KeyChange, err)
	}
}

func TestThePinBreaksWhenTheFirstCertificateExpires(t *testing.T) {
	b := backend{t}
	soon := request("soon")
	soon.NotAfter = now.AddDate(0, 1, 0)
	got, err := edit.Pin(policy(t, withCA), edit.Request{
		Form: edit.FormSPKI, Live: live(b.selfSigned(request("late")), b.selfSigned(soon)), Now: now,
	})
	if err != nil || !got.Breaks.Equal(soon.NotAfter) {
		t.Errorf("breaks %s, error %v", got.Breaks, err)
	}
}
