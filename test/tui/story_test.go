package tui

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// TestAMismatchIsSeenPinnedSkippedAndStrictAgain is what people do with the
// screens, from the first look to the end, at two sizes of the terminal; on files,
// or in the cluster that TUI_KUBECONFIG names.
func TestAMismatchIsSeenPinnedSkippedAndStrictAgain(t *testing.T) {
	for _, size := range []struct{ width, height int }{{80, 24}, {160, 45}} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			if kubeconfig := os.Getenv("TUI_KUBECONFIG"); kubeconfig != "" {
				inCluster(t, kubeconfig, size.width, size.height).tell()
				return
			}
			onFiles(t, size.width, size.height).tell()
		})
	}
}

// story is told at a terminal, from a command on; gateway is the URL that curl
// asks.
type story struct {
	*terminal

	command string
	gateway string
	asked   int
}

func (s *story) tell() {
	s.t.Helper()
	s.write(screens, s.command+"\n")
	s.snapshot("list", s.until(screens, "api:443", "not probed", "? help"))
	s.press("?")
	s.snapshot("help", s.until(screens, "paths > help", "pin what the endpoints serve"))
	s.press("Escape")
	s.mismatch()
	s.pin()
	s.skip()
	s.strict()
	s.leave()
}

// client asks the Gateway in the second window until it answers with a status.
func (s *story) client(status int) {
	s.t.Helper()
	s.asked++
	s.write(second, fmt.Sprintf("clear; until curl -s -o /dev/null -w '%%{http_code}' %s | grep -q %d; do sleep 0.1; done; "+
		"echo client %d g''ot %d\n", s.gateway, status, s.asked, status))
	s.until(second, fmt.Sprintf("client %d got %d", s.asked, status))
}

func (s *story) mismatch() {
	s.t.Helper()
	s.client(503)
	s.press("Enter")
	s.snapshot("mismatch", s.until(screens, "svc/api:443", "503:", "UntrustedIssuer", "fix:", "asked at"))
	s.press("f")
	s.snapshot("fetch", s.until(screens, "fetch svc/api:443", "2 endpoints asked", "KEY spki-sha256:", "TLS 1.3"))
	s.press("Escape")
	s.until(screens, "503:")
}

func (s *story) pin() {
	s.t.Helper()
	s.press("p")
	s.snapshot("pin-keys", s.until(screens, "1 key served", "[x] spki-sha256:", "Form: [spki]"))
	s.press("Enter")
	s.snapshot("pin-difference", s.until(screens, "+ backendtls.dev/pins", "y writes it"))
	s.press("y")
	s.snapshot("pin-applied", s.until(screens, "Applied: btlspolicy/api is written", "VERDICTS NOW", "passes"))
	s.client(200)
	s.press("Enter")
	s.snapshot("pinned", s.until(screens, "passes: Envoy accepts the certificate of every endpoint", "Trust: 1 pin"))
}

func (s *story) skip() {
	s.t.Helper()
	s.press("s")
	s.snapshot("skip-verify", s.until(screens, "What the Gateways that lead to svc/api:443 allow", "1h"))
	s.press("Tab", "Tab")
	s.write(screens, "the vendor's certificate lapsed")
	s.until(screens, "the vendor's certificate lapsed")
	s.press("Enter")
	s.snapshot("skip-verify-confirm", s.until(screens, "+ backendtls.dev/mode", "Type api to write it"))
	s.write(screens, "api")
	s.until(screens, "> api")
	s.press("Enter")
	s.until(screens, "Applied: btlspolicy/api is written", "VERDICTS NOW", "VERIFICATION OFF: svc/api, 00:1")
	s.press("Enter")
	s.until(screens, "VERIFICATION OFF: mode InsecureSkipVerification", "the vendor's certificate lapsed")
	s.client(200)
	s.snapshot("verification-off", s.until(screens, "VERIFICATION OFF: svc/api, 00:1", "passes:"))
	s.countdown()
	s.press("Escape")
	s.snapshot("list-verification-off", s.until(screens, "api:443", "VERIFICATION OFF: svc/api", "1 path"))
	s.press("Enter")
	s.until(screens, "paths > svc/api:443")
}

var left = regexp.MustCompile(`VERIFICATION OFF: svc/api, (\d\d:\d\d:\d\d) left`)

// countdown waits until the banner shows another time.
func (s *story) countdown() {
	s.t.Helper()
	first := left.FindString(s.shown(screens))
	shown, err := s.await(screens, func(shown string) bool {
		now := left.FindString(shown)
		return now != "" && now < first
	})
	if err != nil {
		s.t.Errorf("nothing counts down from %q: %v\n%s", first, err, shown)
	}
}

func (s *story) strict() {
	s.t.Helper()
	s.press("s")
	s.snapshot("skip-verify-off", s.until(screens, "InsecureSkipVerification, active on gateway/web", "End that now"))
	s.press("Enter")
	s.until(screens, "- backendtls.dev/mode", "y writes it")
	s.press("y")
	s.until(screens, "Applied: btlspolicy/api is written", "VERDICTS NOW", "passes")
	s.press("Enter")
	s.gone(screens, "VERIFICATION OFF")
	s.snapshot("strict-again", s.until(screens, "passes:", "Mode: Standard", "Trust: 1 pin"))
	s.client(200)
}

// leave quits, and finds the shell as it was.
func (s *story) leave() {
	s.t.Helper()
	s.press("q")
	s.until(screens, "$ "+s.command)
	s.write(screens, "echo left with $?\n")
	s.until(screens, "left with 0")
}
