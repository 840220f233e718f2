package krew

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	linux   = Machine{OS: "linux", Arch: "amd64"}
	windows = Machine{OS: "windows", Arch: "amd64"}
)

// member is one file of an archive.
type member struct {
	name string
	mode int64
	kind byte
}

// good is what an archive holds.
var good = []member{{"LICENSE", 0o644, tar.TypeReg}, {"kubectl-x", 0o755, tar.TypeReg}}

func tarOf(t *testing.T, members ...member) []byte {
	t.Helper()
	var packed bytes.Buffer
	plain := gzip.NewWriter(&packed)
	archive := tar.NewWriter(plain)
	for _, m := range members {
		header := &tar.Header{Name: m.name, Mode: m.mode, Typeflag: m.kind, Linkname: "/etc/passwd"}
		if m.kind == tar.TypeReg {
			header.Linkname = ""
		}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

func zipOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var packed bytes.Buffer
	archive := zip.NewWriter(&packed)
	for _, name := range names {
		if _, err := archive.Create(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// install installs an archive on a machine.
func install(t *testing.T, content []byte, machine Machine, change func(*Platform)) (root, link string, err error) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "archive")
	if err := os.WriteFile(archive, content, 0o644); err != nil {
		t.Fatal(err)
	}
	p := Platform{
		SHA256: fmt.Sprintf("%x", sha256.Sum256(content)), Bin: "kubectl-x",
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"os": machine.OS, "arch": machine.Arch}},
	}
	if machine == windows {
		p.Bin += ".exe"
	}
	if change != nil {
		change(&p)
	}
	var m Manifest
	m.Metadata.Name, m.Spec.Version, m.Spec.Platforms = "x-y", "v1.0.0", []Platform{p}
	root = t.TempDir()
	link, err = m.Install(root, machine, archive)
	return root, link, err
}

func TestAnArchiveIsLaidOutAsKrewDoes(t *testing.T) {
	for _, test := range []struct {
		machine    Machine
		content    []byte
		link, file string
	}{
		{linux, tarOf(t, good...), "bin/kubectl-x_y", "store/x-y/v1.0.0/kubectl-x"},
		{windows, zipOf(t, "LICENSE", "kubectl-x.exe"), "bin/kubectl-x_y.exe", "store/x-y/v1.0.0/kubectl-x.exe"},
	} {
		root, link, err := install(t, test.content, test.machine, nil)
		if err != nil {
			t.Fatal(err)
		}
		if link != filepath.Join(root, test.link) {
			t.Errorf("the link is %s, want %s", link, test.link)
		}
		if to, err := os.Readlink(link); err != nil || to != filepath.Join(root, test.file) {
			t.Errorf("it leads to %s (%v), want %s", to, err, test.file)
		}
		if _, err := os.Stat(filepath.Join(root, "store/x-y/v1.0.0/LICENSE")); err != nil {
			t.Error(err)
		}
	}
}

func TestFilesAreInstalledWhereTheManifestSays(t *testing.T) {
	content := tarOf(t, member{"docs/LICENSE", 0o644, tar.TypeReg}, member{"out/x", 0o755, tar.TypeReg})
	root, _, err := install(t, content, linux, func(p *Platform) {
		p.Files = []Move{{From: "out/x", To: "kubectl-x"}, {From: "docs/*", To: "."}}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubectl-x", "LICENSE"} {
		if _, err := os.Stat(filepath.Join(root, "store/x-y/v1.0.0", name)); err != nil {
			t.Error(err)
		}
	}
}

func TestAnArchiveThatKrewWouldNotInstallIsRefused(t *testing.T) {
	licence, program := good[0], good[1]
	for _, test := range []struct {
		name    string
		content []byte
		machine Machine
		change  func(*Platform)
		want    string
	}{
		{"another digest", tarOf(t, good...), linux, func(p *Platform) { p.SHA256 = strings.Repeat("0", 64) }, "its SHA-256 is"},
		{"no licence", tarOf(t, program), linux, nil, "no licence"},
		{"a licence that is not installed", tarOf(t, good...), linux, func(p *Platform) { p.Files = []Move{{From: "kubectl-x", To: "."}} }, "no licence"},
		{"no program", tarOf(t, licence), linux, nil, "bin: "},
		{"a program that cannot be executed", tarOf(t, licence, member{"kubectl-x", 0o644, tar.TypeReg}), linux, nil, "not everybody can execute it"},
		{"a directory around everything", tarOf(t, member{"x/LICENSE", 0o644, tar.TypeReg}, member{"x/kubectl-x", 0o755, tar.TypeReg}), linux, nil, "bin: "},
		{"a program without its suffix", zipOf(t, "LICENSE", "kubectl-x"), windows, nil, "bin: "},
		{"a glob that finds nothing", tarOf(t, good...), linux, func(p *Platform) { p.Files = []Move{{From: "*.md", To: "."}} }, `called "*.md"`},
		{"a path that leads up", tarOf(t, licence, program, member{"../x", 0o644, tar.TypeReg}), linux, nil, "leads elsewhere"},
		{"a path from the root", tarOf(t, licence, program, member{"/etc/x", 0o644, tar.TypeReg}), linux, nil, "leads elsewhere"},
		{"a path of Windows that leads up", zipOf(t, "LICENSE", "kubectl-x.exe", `..\x`), windows, nil, "leads elsewhere"},
		{"a link", tarOf(t, licence, program, member{"link", 0o777, tar.TypeSymlink}), linux, nil, "not a plain file"},
		{"the same file twice", tarOf(t, licence, program, program), linux, nil, "file exists"},
		{"no archive at all", []byte("<html>404</html>"), linux, nil, "gzip and zip only"},
		{"half an archive", tarOf(t, good...)[:40], linux, nil, "EOF"},
		{"another machine's", tarOf(t, good...), linux, func(p *Platform) { p.Selector.MatchLabels["arch"] = "arm64" }, "has nothing for linux/amd64"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, link, err := install(t, test.content, test.machine, test.change); err == nil {
				t.Errorf("it was installed as %s", link)
			} else if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
