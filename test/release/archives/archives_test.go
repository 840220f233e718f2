package archives

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/hack/release/krew"
	"github.com/backendtls/backendtls/hack/release/recipe"
)

const root = "../../.."

// released are the archives to judge, and what made them.
func released(t *testing.T) (r *recipe.Recipe, dir, tag string) {
	t.Helper()
	r, err := recipe.Read(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if dir = os.Getenv("ARCHIVES"); !filepath.IsAbs(dir) {
		t.Fatalf("ARCHIVES is %q: want the absolute path of a directory of archives; `make test-release` builds them", dir)
	}
	if tag, err = krew.VersionOf(dir, "backendtls"); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s of %s", tag, dir)
	return r, dir, tag
}

func TestEveryArchiveIsInstalledAsKrewDoes(t *testing.T) {
	r, dir, tag := released(t)
	text, err := os.ReadFile(filepath.Join(root, ".krew.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rendered, err := krew.Render(text, tag, krew.Archives(dir, ""))
	if err != nil {
		t.Fatal(err)
	}
	m, err := krew.Check("backendtls.yaml", rendered)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(dir, r.Checksum.NameTemplate))
	if err != nil {
		t.Fatal(err)
	}
	for _, platform := range r.Platforms() {
		t.Run(platform.String(), func(t *testing.T) {
			machine := krew.Machine{OS: platform.OS, Arch: platform.Arch}
			p, err := m.For(machine)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(sums), p.SHA256+"  "+p.File()+"\n") {
				t.Errorf("%s does not list %s", r.Checksum.NameTemplate, p.File())
			}
			link, err := m.Install(t.TempDir(), machine, filepath.Join(dir, p.File()))
			if err != nil {
				t.Fatal(err)
			}
			program, err := filepath.EvalSymlinks(link)
			if err != nil {
				t.Fatal(err)
			}
			onlyTheProgramAndTheLicence(t, program)
			runsOn(t, program, machine)
			wasBuiltAsTheRecipeSays(t, program, machine, tag)
		})
	}
}

// onlyTheProgramAndTheLicence checks what is installed beside a program.
func onlyTheProgramAndTheLicence(t *testing.T, program string) {
	t.Helper()
	found, err := os.ReadDir(filepath.Dir(program))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 {
		t.Errorf("%v are installed, want the program and the licence", found)
	}
	installed, err := os.ReadFile(filepath.Join(filepath.Dir(program), "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	if ours, err := os.ReadFile(filepath.Join(root, "LICENSE")); err != nil || !bytes.Equal(installed, ours) {
		t.Errorf("the licence is not that of the project (%v)", err)
	}
}

// runsOn checks the format of a program and the machine that it names.
func runsOn(t *testing.T, program string, machine krew.Machine) {
	t.Helper()
	var got any
	switch machine.OS {
	case "linux":
		file, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		got = file.Machine
		if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
			t.Errorf("it needs %v (%v), want a program that runs on every Linux", libraries, err)
		}
		defer file.Close()
	case "darwin":
		file, err := macho.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		got = file.Cpu
		defer file.Close()
	case "windows":
		file, err := pe.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		got = file.Machine
		defer file.Close()
	}
	want := map[string]any{
		"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64,
		"darwin/amd64": macho.CpuAmd64, "darwin/arm64": macho.CpuArm64,
		"windows/amd64": uint16(pe.IMAGE_FILE_MACHINE_AMD64), "windows/arm64": uint16(pe.IMAGE_FILE_MACHINE_ARM64),
	}[machine.String()]
	if got != want {
		t.Errorf("it is a program for %v, want %v", got, want)
	}
}

// wasBuiltAsTheRecipeSays checks what the go command noted in a program.
func wasBuiltAsTheRecipeSays(t *testing.T, program string, machine krew.Machine, tag string) {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if info.Path != "github.com/backendtls/backendtls/cmd/kubectl-backendtls" {
		t.Errorf("it is %s", info.Path)
	}
	want := map[string]string{
		"GOOS": machine.OS, "GOARCH": machine.Arch, "CGO_ENABLED": "0", "-trimpath": "true",
	}
	for _, setting := range info.Settings {
		if strings.HasPrefix(setting.Key, "vcs") {
			t.Errorf("it has %s: it depends on where it was built", setting.Key)
		}
		if want[setting.Key] == setting.Value {
			delete(want, setting.Key)
		}
	}
	if len(want) > 0 {
		t.Errorf("it was not built with %v", want)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte(tag)) {
		t.Errorf("it does not know that it is %s", tag)
	}
	if here, err := filepath.Abs(root); err != nil || bytes.Contains(content, []byte(here)) {
		t.Errorf("it names the directory that it was built in, %s (%v)", here, err)
	}
}
