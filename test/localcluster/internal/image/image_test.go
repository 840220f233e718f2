package image

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// spec is an image of one program with other files, made anew.
func spec(t *testing.T) Spec {
	t.Helper()
	directory := t.TempDir()
	program, data := filepath.Join(directory, "program"), filepath.Join(directory, "data")
	if err := os.WriteFile(program, []byte("#!/bin/true\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(data, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	built := Spec{
		Name: "docker.io/backendtls/test:v1", Entrypoint: []string{"/usr/bin/program"}, User: "65532",
		Files: map[string]string{},
	}
	for _, pair := range []string{program + ":/usr/bin/program", data + ":/etc/data"} {
		if err := built.AddFile(pair); err != nil {
			t.Fatal(err)
		}
	}
	return built
}

func TestTheSameInputMakesTheSameImage(t *testing.T) {
	first, err := spec(t).Write(filepath.Join(t.TempDir(), "image.tar"))
	if err != nil {
		t.Fatal(err)
	}
	later := spec(t)
	for _, source := range later.Files {
		if err := os.Chtimes(source, time.Now(), time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	second, err := later.Write(filepath.Join(t.TempDir(), "other.tar"))
	if err != nil {
		t.Fatal(err)
	}
	if first != second {
		t.Errorf("%+v, then %+v", first, second)
	}
}

func TestAnImageHoldsWhatItWasMadeOf(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	if _, err := spec(t).Write(file); err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("docker.io/backendtls/test:v1")
	if err != nil {
		t.Fatal(err)
	}
	read, err := tarball.ImageFromPath(file, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := read.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532" || config.Config.Entrypoint[0] != "/usr/bin/program" {
		t.Errorf("its configuration is %+v", config.Config)
	}
	content := extract(t, read)
	for _, want := range []string{"usr/bin/program", "#!/bin/true", "etc/data", "nonroot:x:65532:65532:"} {
		if !strings.Contains(content, want) {
			t.Errorf("it lacks %q", want)
		}
	}
}

func extract(t *testing.T, read v1.Image) string {
	t.Helper()
	stream := mutate.Extract(read)
	defer func() { _ = stream.Close() }()
	content, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAnImageIsMadeAnewWhenItsInputChanges(t *testing.T) {
	file := filepath.Join(t.TempDir(), "image.tar")
	built := spec(t)
	check := func(want bool) {
		t.Helper()
		current, err := built.Current(file)
		if err != nil || current != want {
			t.Fatalf("current is %v (%v)", current, err)
		}
	}
	check(false)
	if _, err := built.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := built.Stamp(file); err != nil {
		t.Fatal(err)
	}
	check(true)
	if err := os.WriteFile(built.Files["/etc/data"], []byte("tada"), 0o600); err != nil {
		t.Fatal(err)
	}
	check(false)
}

func TestLibrariesAreReadFromTheLinker(t *testing.T) {
	libraries, err := parseLibraries("\tlinux-vdso.so.1 (0x1)\n\tlibc.so.6 => /lib/libc.so.6 (0x2)\n\t/lib/ld.so (0x3)\n")
	if err != nil || strings.Join(libraries, " ") != "/lib/libc.so.6" {
		t.Errorf("got %q, %v", libraries, err)
	}
	if _, err := parseLibraries("\tlibx.so => not found\n"); err == nil || !strings.Contains(err.Error(), "libx.so") {
		t.Errorf("of a missing library it says %v", err)
	}
}
