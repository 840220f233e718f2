package krew

import (
	"os"
	"strings"
	"testing"
)

// rendered is the manifest of a release whose archives nobody has made.
func rendered(t *testing.T, tag string) string {
	t.Helper()
	text, err := os.ReadFile("../../../.krew.yaml")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := Render(text, tag, func(url string) (string, string, error) {
		return url, strings.Repeat("0a", 32), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(manifest)
}

func TestTheManifestKeepsEveryRule(t *testing.T) {
	for _, tag := range []string{"v0.1.0", "v1.20.300", "v0.2.0-rc.1", "v0.0.0-snapshot-0012345"} {
		m, err := Check("plugins/backendtls.yaml", []byte(rendered(t, tag)))
		if err != nil {
			t.Error(err)
		}
		if m.Spec.Version != tag || len(m.Spec.Platforms) != 6 {
			t.Errorf("version %s with %d platforms, want %s with 6", m.Spec.Version, len(m.Spec.Platforms), tag)
		}
		for _, p := range m.Spec.Platforms {
			if !strings.Contains(p.URI, "/download/"+tag+"/") || !strings.Contains(p.File(), "_"+tag+"_") {
				t.Errorf("%s does not name the tag twice", p.URI)
			}
		}
	}
}

func TestEveryRuleIsBroken(t *testing.T) {
	const (
		linux   = "os: linux\n        arch: amd64\n"
		windows = "bin: kubectl-backendtls.exe"
		home    = "  homepage: https://github.com/backendtls/backendtls\n"
		short   = "  shortDescription: Inspect and pin backend TLS certificates\n"
	)
	digest := "sha256: " + strings.Repeat("0a", 32)
	for _, test := range []struct{ name, old, new, want string }{
		{"another version of the API", "v1alpha2", "v1alpha3", `apiVersion is`},
		{"another kind", "kind: Plugin", "kind: Extension", `kind is "Extension"`},
		{"a misspelt field", "caveats:", "caveat:", `unknown field "caveat"`},
		{"another name than the file's", "name: backendtls", "name: backend-tls", "want the file's name"},
		{"a name that leads elsewhere", "name: backendtls", "name: ../backendtls", "letters, digits"},
		{"a name with capitals", "name: backendtls", "name: BackendTLS", "words in lower case"},
		{"a name with an underscore", "name: backendtls", "name: backend_tls", "words in lower case"},
		{"a name with kube", "name: backendtls", "name: kube-backendtls", "kube says nothing"},
		{"a device of Windows", "name: backendtls", "name: com1", "a device on Windows"},
		{"a version without v", "version: v0.1.0", "version: 0.1.0", "does not begin with v"},
		{"a version of two numbers", "version: v0.1.0", "version: v0.1", "spec.version: "},
		{"a version with a leading zero", "version: v0.1.0", "version: v0.01.0", "spec.version: "},
		{"no version", "version: v0.1.0", `version: ""`, "does not begin with v"},
		{"no short description", short, "", "spec.shortDescription is missing"},
		{"a short description of two lines", short, "  shortDescription: \"a\\nb\"\n", "more than one line"},
		{"a long short description", short, "  shortDescription: " + strings.Repeat("x", 51) + "\n", "has 51 characters"},
		{"a wide description", "    Shows every", "    " + strings.Repeat("x", 81) + "\n    Shows every", "line of 81 characters"},
		{"a description with an example", "    Shows every", "    kubectl backendtls\n    Shows every", "has an example"},
		{"a wide caveat", "    For completion", "    " + strings.Repeat("x", 81) + "\n    For completion", "spec.caveats has a line"},
		{"no homepage", home, "", "spec.homepage is"},
		{"a homepage in plaintext", home, "  homepage: http://example.com\n", "want an https address"},
		{"no address", "uri: https://", "uri: \"\" #", "krew downloads by https and http only"},
		{"a file's address", "uri: https://", "uri: file://", "krew downloads by https and http only"},
		{"another kind of archive", "linux_amd64.tar.gz", "linux_amd64.tar.xz", "want .tar.gz or .zip"},
		{"no digest", digest, `sha256: ""`, "want 64 digits"},
		{"a digest in capitals", digest, "sha256: " + strings.Repeat("0A", 32), "want 64 digits"},
		{"a digest that is short", digest, digest[:len(digest)-2], "want 64 digits"},
		{"no program", "    bin: kubectl-backendtls\n", "", "bin is missing"},
		{"a program that is not clean", "bin: kubectl-backendtls\n", "bin: ./kubectl-backendtls\n", "want a clean path"},
		{"a program elsewhere", "bin: kubectl-backendtls\n", "bin: ../kubectl-backendtls\n", "want a clean path"},
		{"a program for Windows without its suffix", windows, "bin: kubectl-backendtls", "want .exe on Windows"},
		{"a program for Linux with a suffix", "bin: kubectl-backendtls\n", windows + "\n", "want .exe on Windows"},
		{"no files to install", windows, windows + "\n    files: []", "files is there and empty"},
		{"files from nowhere", windows, windows + "\n    files: [{to: .}]", "from and to are both needed"},
		{"files to nowhere", windows, windows + "\n    files: [{from: LICENSE}]", "from and to are both needed"},
		{"files to a path as the documentation has it", windows, windows + "\n    files: [{from: LICENSE, to: ./LICENSE}]", `the clean path is "LICENSE"`},
		{"no selector", "  - selector:\n      matchLabels:\n        " + linux + "    ", "  - ", "selector is missing or empty"},
		{"an empty selector", "matchLabels:\n        " + linux, "matchLabels: {}\n", "selector is missing or empty"},
		{"empty labels beside expressions", "matchLabels:\n        " + linux, "matchLabels: {}\n      matchExpressions: [{key: os, operator: In, values: [linux]}]\n", "matchLabels is there and empty"},
		{"empty expressions beside labels", linux, linux + "      matchExpressions: []\n", "matchExpressions is there and empty"},
		{"another label", linux, linux + "        libc: glibc\n", `"libc" is neither os nor arch`},
		{"a machine that krew does not know", linux, "os: linux\n        arch: s390x\n", "matches no machine that krew knows"},
		{"two entries for one machine", linux, "os: linux\n        arch: arm64\n", "spec.platforms [0 1] are all for linux/arm64"},
		{"two entries by an expression", "matchLabels:\n        " + linux, "matchExpressions: [{key: os, operator: In, values: [linux, darwin]}]\n", "are all for darwin/amd64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			good := rendered(t, "v0.1.0")
			broken := strings.Replace(good, test.old, test.new, 1)
			if broken == good {
				t.Fatalf("the manifest has no %q", test.old)
			}
			if _, err := Check("backendtls.yaml", []byte(broken)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestNoPlatformAtAllIsNoPlugin(t *testing.T) {
	before, _, _ := strings.Cut(rendered(t, "v0.1.0"), "  platforms:\n")
	if _, err := Check("backendtls.yaml", []byte(before)); err == nil ||
		!strings.Contains(err.Error(), "spec.platforms is missing") {
		t.Errorf("got %v", err)
	}
}

func TestTheFileIsCalledAsThePlugin(t *testing.T) {
	for _, file := range []string{"backend.yaml", "backendtls.yml", "backendtls"} {
		if _, err := Check(file, []byte(rendered(t, "v0.1.0"))); err == nil {
			t.Errorf("%s passes", file)
		}
	}
}

func TestWhatTheTemplateNamesIsThere(t *testing.T) {
	for _, text := range []string{"version: {{ .Tag }}", "{{addURIAndSha \"x{{ .Tag }}\" .TagName}}", "{{"} {
		if got, err := Render([]byte(text), "v0.1.0", Archives(t.TempDir(), "")); err == nil {
			t.Errorf("%s renders as %s", text, got)
		}
	}
}

func TestABrokenManifestComesIntoNoIndex(t *testing.T) {
	dir := t.TempDir()
	if err := WriteIndex(dir, "backendtls", []byte("kind: Plugin"), nil, nil); err == nil {
		t.Error("it was written")
	}
	if found, err := os.ReadDir(dir); err != nil || len(found) > 0 {
		t.Errorf("%v, %v were written", found, err)
	}
}
