package process

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// oldest is the oldest Envoy that is run: what is promised of certificate
// checks was measured on 1.40 and holds from there on.
var oldest = [2]int{1, 40}

// versionTimeout bounds `envoy --version`.
const versionTimeout = 10 * time.Second

// Binary is an Envoy that can be run.
type Binary struct {
	// Path is absolute.
	Path string
	// Version is such as 1.40.0.
	Version string
}

var versionPattern = regexp.MustCompile(`version: [0-9a-f]+/(([0-9]+)\.([0-9]+)\.[0-9]+)`)

// Check finds the Envoy called name, a path or a name to look for in PATH, and
// runs it for its version. Errors say in one line what is wrong with it.
func Check(ctx context.Context, name string) (Binary, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return Binary{}, fmt.Errorf("no Envoy to run: %w; say where it is with --envoy PATH", err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return Binary{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = []string{}
	cmd.Stderr = &stderr
	// Something that is not Envoy may leave the pipe to a process of its own.
	cmd.WaitDelay = time.Second
	output, err := cmd.Output()
	if err != nil {
		why, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		if why == "" {
			why = "Envoy's builds need Linux with glibc 2.31 or newer"
		}
		return Binary{}, fmt.Errorf("%s does not run: %w: %s", path, err, why)
	}
	found := versionPattern.FindSubmatch(output)
	if found == nil {
		return Binary{}, fmt.Errorf("%s is not Envoy: --version answers %.80q", path, output)
	}
	// The pattern admits digits only; a number too large for an int is new enough.
	major, _ := strconv.Atoi(string(found[2]))
	minor, _ := strconv.Atoi(string(found[3]))
	version := string(found[1])
	if major < oldest[0] || major == oldest[0] && minor < oldest[1] {
		return Binary{}, fmt.Errorf("%s is Envoy %s: %d.%d or newer is needed", path, version, oldest[0], oldest[1])
	}
	return Binary{Path: path, Version: version}, nil
}
