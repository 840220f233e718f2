package envoy

import (
	"strings"
	"testing"

	"github.com/backendtls/backendtls/internal/model"
)

func TestTheMostSpecificServerOwnsAHost(t *testing.T) {
	translation := &translation{}
	p := translation.newPort(model.Listener{Port: 8080, Servers: []model.Server{
		{}, {Hostname: "*.example.com"}, {Hostname: "*.a.example.com"}, {Hostname: "x.a.example.com"},
	}})
	for host, want := range map[string]string{
		"":                    "",
		"example.com":         "",
		"example.org":         "",
		"b.example.com":       "*.example.com",
		"*.example.com":       "*.example.com",
		"a.example.com":       "*.example.com",
		"b.a.example.com":     "*.a.example.com",
		"c.b.a.example.com":   "*.a.example.com",
		"*.b.a.example.com":   "*.a.example.com",
		"x.a.example.com":     "x.a.example.com",
		"*.x.a.example.com":   "*.a.example.com",
		"notexample.com":      "",
		"*.b.notexample.com":  "",
		"b.c.d.e.example.com": "*.example.com",
	} {
		if got := p.owner(host); got != want {
			t.Errorf("%q belongs to %q, want %q", host, got, want)
		}
		if !covers(want, host) {
			t.Errorf("%q does not cover %q", want, host)
		}
	}
}

func TestHostnames(t *testing.T) {
	for name, want := range map[string]bool{
		"": true, "example.com": true, "*.example.com": true, "a-b.example": true, "1.example": true,
		"*": false, "*.": false, "a.*.com": false, "*a.com": false, "example.com.": false, "-a.com": false,
		"a-.com": false, "A.com": false, "a_b.com": false, "10.0.0.1": false, "::1": false, "a..b": false,
		strings.Repeat("a", 64): false, strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 127): false,
	} {
		if got := listenerHostname(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestOnlyExpressionsThatEnvoyIsSureToTakeAreSent(t *testing.T) {
	for expression, want := range map[string]bool{
		`/api/v[0-9]+`:                  true,
		`/(?i)a|b`:                      true,
		`\\p`:                           true,
		`[^/]{1,500}`:                   true,
		`/(`:                            false,
		`\pL`:                           false,
		`\\\PL`:                         false,
		`(?=a)`:                         false,
		`a{1001}`:                       false,
		`([^a]{31}){31}`:                false,
		strings.Repeat("a", maxRegex+1): false,
		"\xff":                          false,
	} {
		if _, err := safeRegex(expression); (err == nil) != want {
			t.Errorf("%q: %v", expression, err)
		}
	}
}
