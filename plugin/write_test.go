package plugin

import (
	"crypto/tls"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newDesk is the bench with the fixture for the verbs that write, and the
// servers behind it.
func newDesk(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, "desk")
	b.serve(b.identity("api"), "10.1.0.1:8443", "10.1.0.2:8443", "10.1.1.1:8443", "10.1.2.1:9443", "10.1.3.1:9443",
		"10.1.6.1:8443", "10.1.7.1:8443", "10.1.8.2:8443", "10.1.9.1:8443", "10.1.10.1:8443", "10.1.12.1:8443",
		"10.1.13.1:8443", "10.1.14.1:8443", "10.1.15.1:8443", "10.1.16.1:8443")
	b.serve(b.identity("good"), "10.1.2.1:8443", "10.1.3.1:8443", "10.1.4.1:8443", "10.1.5.1:8443", "10.1.8.1:8443",
		"10.1.11.1:8443")
	b.serve(b.identity("other"), "10.1.12.2:8443")
	b.serve(b.identity("named"), "10.1.12.3:8443")
	return b
}

// serveByName starts a TLS server that goes by the addresses and serves the
// identity of the server name, or the one of "".
func (b *bench) serveByName(identities map[string]string, addresses ...string) {
	b.t.Helper()
	served := map[string]tls.Certificate{}
	for name, identity := range identities {
		served[name] = b.identity(identity)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if chosen, found := served[hello.ServerName]; found {
				return &chosen, nil
			}
			return new(served[""]), nil
		},
	}
	b.listen(func(conn net.Conn) {
		server := tls.Server(conn, config)
		_ = server.HandshakeContext(b.t.Context())
		_, _ = io.Copy(io.Discard, server)
	}, addresses...)
}

// contents is every file below a directory, its mode included.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[path] = info.Mode().String() + "\n" + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// differences are the lines that differ, file by file.
func differences(before, after map[string]string) string {
	var text strings.Builder
	paths := slices.Sorted(maps.Keys(after))
	for path := range before {
		if _, stays := after[path]; !stays {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		if before[path] == after[path] {
			continue
		}
		fmt.Fprintf(&text, "--- %s\n", path)
		old, now := strings.Split(before[path], "\n"), strings.Split(after[path], "\n")
		for len(old) > 0 && len(now) > 0 && old[0] == now[0] {
			old, now = old[1:], now[1:]
		}
		for len(old) > 0 && len(now) > 0 && old[len(old)-1] == now[len(now)-1] {
			old, now = old[:len(old)-1], now[:len(now)-1]
		}
		for _, line := range old {
			fmt.Fprintf(&text, "-%s\n", line)
		}
		for _, line := range now {
			fmt.Fprintf(&text, "+%s\n", line)
		}
	}
	return text.String()
}

// written is golden, with what became of the files.
func (b *bench) written(t *testing.T, name, line string) {
	t.Helper()
	before := contents(t, "desk")
	b.goldenLine(t, name, line, func() string { return differences(before, contents(t, "desk")) })
}

// goldenLine is golden for a command line in which a word may stand in single
// quotes; more is added to the output.
func (b *bench) goldenLine(t *testing.T, name, line string, more func() string) {
	t.Helper()
	code, stdout, stderr := b.run(words(line)...)
	got := fmt.Sprintf("$ kubectl backendtls %s\n%s--- stderr\n%s--- exit code %d\n%s", line, stdout, stderr, code, more())
	path := filepath.Join(b.testing, "testdata", "golden", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (UPDATE_GOLDEN=1 writes it): got\n%s\nwant\n%s", path, got, want)
	}
}

func words(line string) []string {
	var list []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

// TestWhatWouldBeWrittenIsPrinted runs without --write: no file changes.
func TestWhatWouldBeWrittenIsPrinted(t *testing.T) {
	b := newDesk(t)
	before := contents(t, "desk")
	for _, test := range []struct{ name, line string }{
		{"pin-print", "pin svc/api -f desk"},
		{"pin-print-new", "pin svc/new -f desk"},
		{"pin-print-port", "pin svc/ported:admin -f desk"},
		{"pin-print-whole", "pin btlspolicy/whole -f desk"},
		{"pin-print-json", "pin svc/api -o json -f desk"},
		{"pin-print-name", "pin svc/api -o name -f desk"},
		{"pin-print-list", "pin svc/pinned --replace -f desk"},
		{"pin-print-leaf", "pin svc/api --form leaf -f desk"},
		{"pin-print-ca", "pin svc/good --form ca -f desk"},
		{"pin-dry-run", "pin svc/api --write --dry-run -f desk"},
		{"pin-unattached", "pin svc/lonely --allow-unattached -f desk"},
		{"pin-classless", "pin svc/edge --allow-unattached -f desk"},
		{"pin-address", "pin svc/quiet --address 10.1.15.1:8443 --sni x.example.com -f desk"},
		{"pin-again", "pin svc/good -f desk"},
		{"pin-ca-elsewhere", "pin svc/foreign --form ca --hostname good.example.com --policy-name mine -f desk"},
		{"pin-one-file", "pin svc/new --allow-unattached -f desk/new.yaml"},
		{"pin-namespace", "pin svc/far -n shop -f desk"},
		{"unpin-print", "unpin svc/rotate -f desk"},
		{"skip-on-print", "skip-verify on svc/api --for 2h --reason 'incident 4711' -f desk"},
		{"skip-on-name", "skip-verify on svc/api --only name --for 90m --reason x -f desk"},
		{"skip-on-new", "skip-verify on svc/new --for 30m --reason 'no certificate yet' -f desk"},
		{"skip-off-print", "skip-verify off svc/shut -f desk"},
		{"skip-off-nothing", "skip-verify off svc/api --write -f desk"},
		{"skip-off-no-policy", "skip-verify off svc/new --write -f desk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b.goldenLine(t, test.name, test.line, func() string { return differences(before, contents(t, "desk")) })
			if changed := differences(before, contents(t, "desk")); changed != "" {
				t.Errorf("files changed:\n%s", changed)
			}
		})
	}
}

// TestWhatIsWritten runs each line on files of its own.
func TestWhatIsWritten(t *testing.T) {
	for _, test := range []struct{ name, line string }{
		{"write-pin", "pin svc/api --yes --write -f desk"},
		{"write-pin-new", "pin svc/new --yes --write -f desk"},
		{"write-pin-port", "pin svc/ported:443 --yes --write -f desk"},
		{"write-pin-whole", "pin svc/whole:443 --yes --write -f desk"},
		{"write-pin-certificate", "pin svc/rotate --form certificate --yes --write -f desk"},
		{"write-pin-leaf", "pin svc/api --form leaf --yes --write -f desk"},
		{"write-pin-ca", "pin svc/good --form ca --yes --write -f desk"},
		{"write-pin-replace", "pin svc/pinned --replace --yes --write -f desk"},
		{"write-pin-both", "pin svc/one --all-targets --yes --write -f desk"},
		{"write-pin-yaml", "pin svc/api --yes --write -o yaml -f desk"},
		{"write-pin-one-file", "pin svc/new --yes --write --allow-unattached -f desk/new.yaml"},
		{"write-unpin", "unpin svc/rotate --yes --write -f desk"},
		{"write-unpin-one", "unpin btlspolicy/rotate @cert:other@ --yes --write -f desk"},
		{"write-skip-on", "skip-verify on svc/api --only expiry --for 2h --reason 'the CA is \"late\"' --yes --write -f desk"},
		{"write-skip-on-new", "skip-verify on svc/new --for 2h --reason x --yes --write -f desk"},
		{"write-skip-off", "skip-verify off svc/shut --write -f desk"},
		{"write-skip-off-lost", "skip-verify off btlspolicy/rivals-late --write -f desk"},
		{"write-skip-off-idle", "skip-verify off svc/rivals --write -o name -f desk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newDesk(t)
			b.written(t, test.name, b.filled(test.line))
			if code, _, stderr := b.run("inspect", "-A", "-f", "desk"); code != 0 {
				t.Errorf("the files cannot be read any more: %s", stderr)
			}
		})
	}
}
