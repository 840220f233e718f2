package recipe

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Builder writes the program for a platform to a file.
type Builder func(ctx context.Context, release Release, platform Platform, path string) error

// GoBuild builds in the module at root with the go command, as the recipe says.
func (r *Recipe) GoBuild(root string) Builder {
	b := r.Builds[0]
	return func(ctx context.Context, release Release, platform Platform, path string) error {
		ldflags, err := release.expand(strings.Join(b.LDFlags, " "), platform)
		if err != nil {
			return err
		}
		arguments := append([]string{"build", "-o", path}, b.Flags...)
		cmd := exec.CommandContext(ctx, "go", append(arguments, "-ldflags="+ldflags, b.Main)...)
		cmd.Dir = root
		// The flags and the level of the processor are the recipe's, whatever is set
		// around here.
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0",
			"GOOS="+platform.OS, "GOARCH="+platform.Arch)
		cmd.Env = append(cmd.Env, b.Env...)
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s for %s: %w\n%s", b.Main, platform, err, output)
		}
		return nil
	}
}

// program is the name of the program's file in an archive.
func (r *Recipe) program(platform Platform) string {
	if platform.OS == "windows" {
		return r.Builds[0].Binary + ".exe"
	}
	return r.Builds[0].Binary
}
