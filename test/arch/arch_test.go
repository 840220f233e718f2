package arch_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// listed is what the tests need to know of a package. No package's own tests
// count.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	GoFiles    []string
}

var list = sync.OnceValues(func() (map[string]listed, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Deps,GoFiles", "./...")
	cmd.Dir = "../.."
	cmd.Stderr = os.Stderr
	output, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	packages := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages[p.ImportPath] = p
	}
})

// packages are those of the module below one of the folders that hold more than
// tests, by path within the module.
func packages(t *testing.T, folders ...string) map[string]listed {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := map[string]listed{}
	for path, p := range all {
		within, ours := strings.CutPrefix(path, module)
		if ours && len(p.GoFiles) > 0 && below(within, folders...) && !forTests(path) {
			found[within] = p
		}
	}
	if len(found) == 0 {
		t.Fatalf("no package below %v", folders)
	}
	return found
}

// forTests says whether a package exists for tests of others only, by the
// convention of net/http/httptest.
func forTests(path string) bool { return strings.HasSuffix(path, "test") }

// below says whether a path is one of the folders or in one.
func below(path string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		folder = strings.TrimSuffix(folder, "/")
		return path == folder || strings.HasPrefix(path, folder+"/")
	})
}

// room is the first two elements of a path within the module.
func room(within string) string {
	elements := strings.SplitN(within, "/", 3)
	return strings.Join(elements[:min(2, len(elements))], "/")
}

func TestRoomsOfTheCoreImportWhatTheTableSays(t *testing.T) {
	for within, p := range packages(t, "internal") {
		allowed, known := table[room(within)]
		if !known {
			t.Errorf("%s: no room of the table; say in it what the room may import", within)
			continue
		}
		for _, path := range p.Imports {
			if !isStandard(t, path) && !below(path, allowed...) {
				t.Errorf("%s imports %s; its room may import %v", within, path, allowed)
			}
		}
	}
}

func TestTheTableHasNoRoomThatIsNotThere(t *testing.T) {
	core := packages(t, "internal")
	for name := range table {
		found := false
		for within := range core {
			found = found || room(within) == name
		}
		if !found {
			t.Errorf("%s is in the table and not in the module", name)
		}
	}
}

func TestTheCoreNeitherLogsNorServesNorStartsAnything(t *testing.T) {
	for within, p := range packages(t, "internal") {
		for _, path := range p.Imports {
			if slices.Contains(std, path) {
				t.Errorf("%s imports %s", within, path)
			}
			if rooms, limited := onlyThere[path]; limited && !slices.Contains(rooms, room(within)) {
				t.Errorf("%s imports %s; only %v may", within, path, rooms)
			}
		}
	}
}

func TestTheCoreReachesNoClientServerOrShell(t *testing.T) {
	for within, p := range packages(t, "internal") {
		for _, path := range p.Deps {
			if below(path, unreachable...) {
				t.Errorf("%s reaches %s (go list -deps shows it; `go mod why` says through what)", within, path)
			}
		}
	}
}

func TestTheShellsDoNotKnowEachOther(t *testing.T) {
	for shell, other := range map[string]string{"operator": "plugin", "plugin": "operator"} {
		program := map[string]string{"operator": "cmd/operator", "plugin": "cmd/kubectl-backendtls"}[shell]
		for within, p := range packages(t, shell, program) {
			for _, path := range p.Deps {
				if below(path, module+other) {
					t.Errorf("%s reaches %s", within, path)
				}
			}
		}
	}
}

func TestRoomsOfTheOperatorKnowNoSibling(t *testing.T) {
	for within, p := range packages(t, "operator") {
		if within == "operator" {
			continue // it wires them
		}
		for _, path := range p.Deps {
			if below(path, module+"operator") && !below(path, module+room(within)) {
				t.Errorf("%s reaches %s; only the package operator knows more than one room", within, path)
			}
		}
	}
}

func TestOnlyOneRoomDrawsOnATerminal(t *testing.T) {
	for within, p := range packages(t, "internal", "operator", "plugin", "cmd") {
		for _, path := range p.Imports {
			if below(path, "charm.land", "github.com/charmbracelet") && room(within) != "plugin/tui" {
				t.Errorf("%s imports %s; only plugin/tui may", within, path)
			}
		}
	}
}

func TestWhatIsForTestsIsInNoProgram(t *testing.T) {
	for within, p := range packages(t, "cmd") {
		for _, path := range p.Deps {
			if below(path, module) && forTests(path) || below(path, module+"test") || path == "testing" {
				t.Errorf("%s contains %s", within, path)
			}
		}
	}
}

// isStandard says whether a path is of the standard library.
func isStandard(t *testing.T, path string) bool {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	return all[path].Standard
}
