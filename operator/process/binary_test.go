package process_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/operator/process"
)

func TestCheckSaysWhatIsWrongWithABinary(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct{ path, want string }{
		"absent": {
			filepath.Join(dir, "none"), "no Envoy to run: ",
		},
		"absent from PATH": {
			"no-such-envoy", "say where it is with --envoy PATH",
		},
		"not executable": {
			script("text", "hello", 0o600), "permission denied",
		},
		"for another machine": {
			script("foreign", "\x7fELF and then nothing", 0o700),
			"exec format error: Envoy's builds need Linux with glibc 2.31",
		},
		"without its libraries": {
			script("bare", "#!/bin/sh\necho 'libm.so.6: GLIBC_2.31 not found' >&2\necho more >&2\nexit 1\n", 0o700),
			"does not run: exit status 1: libm.so.6: GLIBC_2.31 not found",
		},
		"something else": {
			script("cat", "#!/bin/sh\necho cat 9.1\n", 0o700), `is not Envoy: --version answers "cat 9.1\n"`,
		},
		"too old": {
			script("old", "#!/bin/sh\necho 'envoy  version: 0ab1/1.39.6/Clean/RELEASE/BoringSSL'\n", 0o700),
			"is Envoy 1.39.6: 1.40 or newer is needed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := process.Check(t.Context(), test.path)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Check: %v, want %q in it", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("Check: %q has more than one line", err)
			}
		})
	}
}

func TestCheckTakesANewerEnvoyFromPATH(t *testing.T) {
	dir := t.TempDir()
	newer := "#!/bin/sh\necho 'envoy  version: 0ab1/2.0.11/Clean/RELEASE/BoringSSL'\n"
	if err := os.WriteFile(filepath.Join(dir, "envoy"), []byte(newer), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	got, err := process.Check(t.Context(), "envoy")
	if want := (process.Binary{Path: filepath.Join(dir, "envoy"), Version: "2.0.11"}); err != nil || got != want {
		t.Errorf("Check = %+v, %v; want %+v", got, err, want)
	}
}
