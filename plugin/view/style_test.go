package view_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/view"
)

// paths is a path with a verdict long enough to be wrapped.
func paths() []cliv1alpha1.Path {
	return []cliv1alpha1.Path{{
		Service: cliv1alpha1.PortReference{Namespace: "default", Name: "api", Port: 443},
		Gateway: &cliv1alpha1.ObjectReference{Kind: "Gateway", Namespace: "infra", Name: "web"},
		Route:   &cliv1alpha1.ObjectReference{Kind: "HTTPRoute", Namespace: "default", Name: "api"},
		Ours:    true,
		Policy: &cliv1alpha1.Policy{
			Namespace: "default", Name: "api",
			Mode: cliv1alpha1.Mode{
				Requested: "InsecureAllowExpired", Enforced: "InsecureAllowExpired", State: "Active",
				SecondsLeft: new(int64(7092)), Reason: strings.Repeat("long ", 30),
			},
			Trust: &cliv1alpha1.Trust{Anchors: 1, Authorities: []string{"configmap/ca"}, IgnoreTime: true},
		},
		Verdict: cliv1alpha1.Verdict{
			Result: assess.Fails, Status: 503, Reason: "HostnameMismatch", Message: strings.Repeat("why it fails ", 20),
		},
		Endpoints: []cliv1alpha1.Endpoint{{Address: "10.0.0.1:8443", Result: assess.Fails, Reason: "HostnameMismatch"}},
	}}
}

var colors = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestColorsChangeNothingButColors(t *testing.T) {
	var plain, colored bytes.Buffer
	for style, out := range map[bool]*bytes.Buffer{false: &plain, true: &colored} {
		detail := view.Detail{Style: view.NewStyle(style), Now: time.Now(), Wide: true}
		if err := detail.Print(out, paths()); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Errorf("plain text has an escape sequence: %q", plain.String())
	}
	if colored.String() == plain.String() {
		t.Error("colored text has no colors")
	}
	if got := colors.ReplaceAllString(colored.String(), ""); got != plain.String() {
		t.Errorf("without its colors, colored text is\n%s\nwant\n%s", got, plain.String())
	}
}

func TestTextFitsTheTerminalAndAHundredColumns(t *testing.T) {
	for terminal, most := range map[int]int{0: 100, 200: 100, 80: 80} {
		testTextFits(t, terminal, most)
	}
}

func testTextFits(t *testing.T, terminal, most int) {
	t.Helper()
	var out bytes.Buffer
	style := view.NewStyle(true).Within(terminal)
	if err := (view.Detail{Style: style, Now: time.Now(), Wide: true}).Print(&out, paths()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(colors.ReplaceAllString(out.String(), "")) {
		if length := len(strings.TrimSuffix(line, "\n")); length > most {
			t.Errorf("%d columns: %s", length, line)
		}
		if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " ") {
			t.Errorf("trailing blanks: %q", line)
		}
	}
	if !strings.Contains(out.String(), "VERIFICATION WEAKENED") || !strings.Contains(out.String(), "01:58:12") {
		t.Errorf("a mode in force is not said:\n%s", out.String())
	}
}

func TestATextIsWrappedToTheTerminal(t *testing.T) {
	got := view.Wrapped(60, "gateway/web: 2 of 2 Envoys acknowledged the policy, and \x1b[31mmore of what others say of it")
	want := "gateway/web: 2 of 2 Envoys acknowledged the policy, and\n  ^[[31mmore of what others say of it"
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
