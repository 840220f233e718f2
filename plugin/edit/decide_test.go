package edit_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
	"github.com/backendtls/backendtls/plugin/edit"
)

func TestUnpin(t *testing.T) {
	b := backend{t}
	one, two, three := key(b.selfSigned(request("1"))), certificate(b.selfSigned(request("2"))), key(b.selfSigned(request("3")))
	pins := edit.OptionPins + ": " + one.String() + "," + two.String()
	only := edit.OptionPinsOnly + `: "true"`
	other := "example.com/other: kept"
	for name, test := range map[string]struct {
		before *gatewayv1.BackendTLSPolicy
		drop   []pin.Pin
		want   map[string]string
		fault  string
	}{
		"all pins, back to the CA": {
			before: policy(t, withCA, pins, only, other), want: map[string]string{"example.com/other": "kept"},
		},
		"certificates, back to the CA": {
			before: policy(t, withCA, edit.OptionCertificates+": configmap/x", only), want: map[string]string{},
		},
		"pins-only without any pin": {before: policy(t, withCA, only), want: map[string]string{}},
		"one pin": {
			before: policy(t, withCA, pins, only), drop: []pin.Pin{two},
			want: map[string]string{edit.OptionPins: one.String(), edit.OptionPinsOnly: "true"},
		},
		"one pin where there is no CA": {
			before: policy(t, pinnedOnly, pins), drop: []pin.Pin{one}, want: map[string]string{edit.OptionPins: two.String()},
		},
		"no pins":          {before: policy(t, withCA, other), fault: "btlspolicy/api has no pins"},
		"the last pin":     {before: policy(t, withCA, pins), drop: []pin.Pin{one, two}, fault: "leave PIN out to go back"},
		"a pin of others":  {before: policy(t, withCA, pins), drop: []pin.Pin{three}, fault: "its pins are " + one.String()},
		"a pin of none":    {before: policy(t, withCA, other), drop: []pin.Pin{three}, fault: "no pins to remove one of"},
		"all without a CA": {before: policy(t, pinnedOnly, pins), fault: "trusts nothing but its pins"},
		"pins nobody can tell": {
			before: policy(t, withCA, edit.OptionPins+": nonsense"), drop: []pin.Pin{one}, fault: `pin "nonsense"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit.Unpin(test.before, test.drop)
			if test.fault != "" {
				if err == nil || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want %q in it", err, test.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if after := options(t, test.before, got); !maps.Equal(after, test.want) {
				t.Errorf("options are %v, want %v", after, test.want)
			}
		})
	}
}

func TestSkipVerifyLastsJustAsLongAsAsked(t *testing.T) {
	late := now.Add(999 * time.Millisecond).In(time.FixedZone("CET", 3600))
	before := policy(t, withCA, edit.OptionReason+": old")
	got, err := edit.SkipVerify{
		Mode: model.InsecureAllowExpired, Since: late, For: 90*time.Minute + 700*time.Millisecond, Reason: " why ",
	}.On()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		edit.OptionMode: "InsecureAllowExpired", edit.OptionReason: "why",
		edit.OptionSince: "2026-11-21T12:00:00Z", edit.OptionUntil: "2026-11-21T13:30:00Z",
	}
	if after := options(t, before, got); !maps.Equal(after, want) {
		t.Errorf("options are %v, want %v", after, want)
	}
	// Without a reason the old one does not stay.
	got, err = edit.SkipVerify{Mode: model.InsecureSkipVerification, Since: now, For: time.Second}.On()
	if after := options(t, before, got); err != nil || after[edit.OptionReason] != "" ||
		after[edit.OptionUntil] != "2026-11-21T12:00:01Z" {
		t.Errorf("options are %v, error %v", after, err)
	}
}

func TestSkipVerifyRefusesWhatCannotBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		request edit.SkipVerify
		want    string
	}{
		"no time":              {edit.SkipVerify{For: 999 * time.Millisecond}, "--for is 999ms: want at least a second"},
		"time that runs back":  {edit.SkipVerify{For: -time.Hour}, "--for is -1h0m0s"},
		"a long reason":        {edit.SkipVerify{For: time.Hour, Reason: strings.Repeat("é", 257)}, "--reason has 257 characters"},
		"a reason of lines":    {edit.SkipVerify{For: time.Hour, Reason: "a\nb"}, "want one line"},
		"a reason that drives": {edit.SkipVerify{For: time.Hour, Reason: "\u202eevil"}, "control character"},
		"no text":              {edit.SkipVerify{For: time.Hour, Reason: "\xff"}, "no text"},
		"a mode that is none":  {edit.SkipVerify{Mode: model.Standard, For: time.Hour}, "weakens nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.request.Mode == "" {
				test.request.Mode = model.InsecureSkipVerification
			}
			if _, err := test.request.On(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
	if _, err := (edit.SkipVerify{
		Mode: model.InsecureSkipVerification, For: time.Hour, Reason: strings.Repeat("é", 256),
	}).On(); err != nil {
		t.Error(err)
	}
}

func TestSkipVerifyOffLeavesNothingOfAMode(t *testing.T) {
	before := policy(t, withCA, edit.OptionMode+": Standard", edit.OptionSince+`: "2026-11-21T12:00:00Z"`,
		edit.OptionUntil+": nonsense", edit.OptionReason+": old", edit.OptionPinsOnly+`: "true"`)
	off := edit.SkipVerifyOff()
	if after := options(t, before, off); !maps.Equal(after, map[string]string{edit.OptionPinsOnly: "true"}) {
		t.Errorf("options are %v", after)
	}
	if !off.Changes(before) || off.Changes(policy(t, withCA)) {
		t.Error("whether anything changes is not seen")
	}
}

func TestACreatedPolicySaysNoMoreThanWasAsked(t *testing.T) {
	b := backend{t}
	service := func(ports ...string) *corev1.Service {
		made := &corev1.Service{Namespace: "shop", Name: "api"}
		for i, name := range ports {
			made.Spec.Ports = append(made.Spec.Ports, corev1.ServicePort{Name: name, Port: int32(443 + i)})
		}
		return made
	}
	named := live(b.selfSigned(request("1", "API.example.com")), b.selfSigned(request("2", "api.example.com")))
	for name, test := range map[string]struct {
		create                  edit.Create
		name, section, hostname string
		wellKnown               string
	}{
		"a Service with one port": {
			edit.Create{Service: service("https"), Live: named, WellKnown: edit.PinnedOnly},
			"api", "", "api.example.com", edit.PinnedOnly,
		},
		"a port of several": {
			edit.Create{Service: service("https", "admin"), Port: corev1.ServicePort{Name: "admin"}, WellKnown: "System"},
			"api", "admin", "api.shop.svc", "System",
		},
		"names as given": {
			edit.Create{Service: service("https"), Live: named, Name: "mine", Hostname: "h.example.com"},
			"mine", "", "h.example.com", "",
		},
		"several names are served": {
			edit.Create{Service: service(""), Live: live(b.selfSigned(request("1", "a.example.com", "b.example.com")))},
			"api", "", "api.shop.svc", "",
		},
		"a wildcard is served": {
			edit.Create{Service: service(""), Live: live(b.selfSigned(request("1", "*.example.com")))},
			"api", "", "api.shop.svc", "",
		},
		"an address is served as a name": {
			edit.Create{Service: service(""), Live: live(b.selfSigned(request("1", "10.0.0.1")))},
			"api", "", "api.shop.svc", "",
		},
		"what is no name is served": {
			edit.Create{Service: service(""), Live: live(b.selfSigned(request("1", "a\x1b[2Jb")))},
			"api", "", "api.shop.svc", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := test.create.Policy()
			if err != nil {
				t.Fatal(err)
			}
			var wellKnown []gatewayv1.WellKnownCACertificatesType
			if got.Spec.Validation.WellKnownCACertificates != nil {
				wellKnown = append(wellKnown, *got.Spec.Validation.WellKnownCACertificates)
			}
			section := ""
			if ref := got.Spec.TargetRefs[0]; ref.SectionName != nil {
				section = string(*ref.SectionName)
			}
			if got.Name != test.name || got.Namespace != "shop" || section != test.section ||
				string(got.Spec.Validation.Hostname) != test.hostname ||
				test.wellKnown != "" && !slices.Equal(wellKnown, []gatewayv1.WellKnownCACertificatesType{gatewayv1.WellKnownCACertificatesType(test.wellKnown)}) ||
				test.wellKnown == "" && wellKnown != nil {
				t.Errorf("got %s in %s, port %q: %+v", got.Name, got.Namespace, section, got.Spec.Validation)
			}
		})
	}
	for flag, create := range map[string]edit.Create{
		"--policy-name": {Service: service(""), Name: "Not_a_name"},
		"--hostname":    {Service: service(""), Hostname: "10.0.0.1"},
		"--hostname=":   {Service: service(""), Hostname: "*.example.com"},
	} {
		if _, err := create.Policy(); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(flag, "=")+" is") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

func TestDifferencesNameEveryElement(t *testing.T) {
	b := backend{t}
	kept, gone, fresh := key(b.selfSigned(request("1"))), key(b.selfSigned(request("2"))), key(b.selfSigned(request("3")))
	before := policy(t, withCA, edit.OptionPins+": "+kept.String()+", "+gone.String(), edit.OptionPinsOnly+`: "true"`)
	got, err := edit.Pin(before, edit.Request{
		Form: edit.FormSPKI, Now: now, Live: live(b.selfSigned(request("x"))), Next: []edit.Next{{Key: kept}, {Key: fresh}},
	})
	if err != nil {
		t.Fatal(err)
	}
	signs := map[string]edit.Sign{}
	for _, difference := range got.Edit.Differences(before) {
		if difference.Field != edit.OptionPins {
			t.Errorf("%+v did not change", difference)
		}
		signs[difference.Value] = difference.Sign
	}
	if signs[kept.String()] != edit.Kept || signs[gone.String()] != edit.Removed || signs[fresh.String()] != edit.Added {
		t.Errorf("differences %v", signs)
	}
}
