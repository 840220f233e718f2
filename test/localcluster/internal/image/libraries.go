package image

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
)

// AddLibraries adds the shared libraries that the program needs and its loader,
// each at the path where the program looks for it. A static one needs none.
func (s *Spec) AddLibraries(ctx context.Context, program string) error {
	loader, err := interpreter(program)
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", program, err)
	}
	if loader == "" {
		return nil
	}
	s.Files[loader] = loader
	output, err := exec.CommandContext(ctx, "ldd", program).Output()
	if err != nil {
		return fmt.Errorf("libraries of %s: ldd: %w", program, err)
	}
	libraries, err := parseLibraries(string(output))
	if err != nil {
		return fmt.Errorf("libraries of %s: %w", program, err)
	}
	for _, library := range libraries {
		s.Files[library] = library
	}
	return nil
}

// interpreter is the loader that the program names, see elf(5); empty if it is
// static.
func interpreter(program string) (string, error) {
	file, err := elf.Open(program)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_INTERP {
			content, err := io.ReadAll(segment.Open())
			return strings.TrimRight(string(content), "\x00"), err
		}
	}
	return "", nil
}

// parseLibraries reads the lines of ldd: "name => path (address)". The loader
// has no arrow and the kernel's own no path.
func parseLibraries(output string) ([]string, error) {
	var libraries []string
	for line := range strings.Lines(output) {
		name, found, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok {
			continue
		}
		location, _, _ := strings.Cut(found, " (")
		if !filepath.IsAbs(location) {
			return nil, fmt.Errorf("%s is %s", name, location)
		}
		libraries = append(libraries, location)
	}
	return libraries, nil
}
