package recipe

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../../.."

var release = Release{Tag: "v0.1.0", Commit: time.Unix(1_790_000_000, 0)}

// stub writes a program that says what it is for.
func stub(_ context.Context, release Release, platform Platform, path string) error {
	return os.WriteFile(path, []byte(release.Tag+" "+platform.String()), 0o600)
}

func ours(t *testing.T) *Recipe {
	t.Helper()
	r, err := Read(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestArchivesAreNamedAndPackedForTheirPlatforms(t *testing.T) {
	r, dir := ours(t), t.TempDir()
	made, err := r.Make(t.Context(), root, dir, release, stub, r.Platforms()...)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, one := range made {
		names = append(names, filepath.Base(one.Path))
		for name, header := range members(t, one.Path) {
			want := os.FileMode(0o755)
			if name == "LICENSE" {
				want = 0o644
			}
			if header.mode != want || !header.modified.Equal(release.Commit) {
				t.Errorf("%s: %s has mode %s and time %s", one.Path, name, header.mode, header.modified)
			}
			if name != "LICENSE" && header.content != "v0.1.0 "+one.Platform.String() {
				t.Errorf("%s holds the program %q", one.Path, header.content)
			}
		}
	}
	want := []string{
		"kubectl-backendtls_v0.1.0_linux_amd64.tar.gz", "kubectl-backendtls_v0.1.0_linux_arm64.tar.gz",
		"kubectl-backendtls_v0.1.0_darwin_amd64.tar.gz", "kubectl-backendtls_v0.1.0_darwin_arm64.tar.gz",
		"kubectl-backendtls_v0.1.0_windows_amd64.zip", "kubectl-backendtls_v0.1.0_windows_arm64.zip",
	}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	found, err := os.ReadDir(dir)
	if err != nil || len(found) != len(want)+1 {
		t.Errorf("%d files are left (%v), want the archives and their checksums", len(found), err)
	}
	sums, err := os.ReadFile(filepath.Join(dir, "checksums.txt"))
	if err != nil || !strings.Contains(string(sums), made[0].SHA256+"  "+want[0]+"\n") {
		t.Errorf("checksums.txt is %q (%v)", sums, err)
	}
}

func TestTheSameCommitIsTheSameBytes(t *testing.T) {
	r := ours(t)
	first, err := r.Make(t.Context(), root, t.TempDir(), release, stub, r.Platforms()...)
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.Make(t.Context(), root, t.TempDir(), release, stub, r.Platforms()...)
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if first[i].SHA256 != again[i].SHA256 {
			t.Errorf("%s is not what it was before", again[i].Path)
		}
	}
}

func TestAnOptionThatIsNotFollowedHereIsRefused(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, old, new, want string }{
		{"tags of a build", "    flags:", "    tags: [nethttpomithttp2]\n    flags:", `unknown field "tags"`},
		{"a directory around", "    formats: [tar.gz]\n", "    formats: [tar.gz]\n    wrap_in_directory: true\n", "wrap_in_directory"},
		{"a section", "version: 2", "version: 2\nuniversal_binaries: [{}]", "universal_binaries"},
		{"no time of the commit", "    mod_timestamp: \"{{ .CommitTimestamp }}\"\n", "", "mod_timestamp"},
		{"a second build", "\narchives:", "  - id: second\n\narchives:", "2 builds"},
	} {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(string(text), test.old, test.new, 1)
			if changed == string(text) {
				t.Fatalf("the file has no %q", test.old)
			}
			file := filepath.Join(t.TempDir(), "goreleaser.yaml")
			if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(file); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestNothingIsMadeOfWhatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Recipe)
		tag    string
		build  Builder
		want   string
	}{
		{"a tag without v", func(*Recipe) {}, "0.1.0", stub, "does not begin with v"},
		{"a name of a template that is not known", func(r *Recipe) { r.Archives[0].NameTemplate = "{{ .Branch }}" }, "v1.0.0", stub, "Branch"},
		{"a format that krew does not take", func(r *Recipe) { r.Archives[0].Formats = []string{"tar.xz"} }, "v1.0.0", stub, "tar.xz"},
		{"a build that fails", func(*Recipe) {}, "v1.0.0", func(context.Context, Release, Platform, string) error {
			return errors.New("out of electricity")
		}, "out of electricity"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, dir := ours(t), t.TempDir()
			test.change(r)
			_, err := r.Make(t.Context(), root, dir, Release{Tag: test.tag, Commit: release.Commit}, test.build, r.Platforms()...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v is left (%v)", left, err)
			}
		})
	}
}

// packed is one file of an archive.
type packed struct {
	mode     os.FileMode
	modified time.Time
	content  string
}

func members(t *testing.T, path string) map[string]packed {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]packed{}
	if strings.HasSuffix(path, ".zip") {
		archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.File {
			open, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(open)
			if err != nil {
				t.Fatal(err)
			}
			found[file.Name] = packed{file.Mode(), file.Modified, string(text)}
		}
		return found
	}
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if header.Uname != "root" || header.Gname != "root" {
			t.Errorf("%s: %s belongs to %s:%s", path, header.Name, header.Uname, header.Gname)
		}
		found[header.Name] = packed{header.FileInfo().Mode(), header.ModTime, string(text)}
	}
}
