// Command release makes what a release of the plugin consists of, without
// publishing anything: the archives that .goreleaser.yaml describes, the
// manifest for krew that .krew.yaml describes, and a custom index of krew with
// it. Nothing is written that krew would refuse.
//
// Usage:
//
//	release archives -tag v1.2.3 -time SECONDS -dir DIR [OS/ARCH ...]
//	release manifest -archives DIR [-url BASE] -out backendtls.yaml
//	release index -archives DIR [-url BASE] -dir DIR
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/backendtls/backendtls/hack/release/krew"
	"github.com/backendtls/backendtls/hack/release/recipe"
)

// plugin is the name in an index.
const plugin = "backendtls"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New("want archives, manifest or index")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	root := flags.String("root", ".", "the clone")
	switch args[0] {
	case "archives":
		tag := flags.String("tag", "", "version with its v")
		seconds := flags.Int64("time", 0, "time of the commit, in seconds since 1970")
		dir := flags.String("dir", "", "directory to write to")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		return archives(ctx, *root, *dir, recipe.Release{Tag: *tag, Commit: time.Unix(*seconds, 0)}, flags.Args(), out)
	case "manifest", "index":
		from := flags.String("archives", "", "directory of the six archives of one version")
		base := flags.String("url", "", "where the archives are to be had, instead of the release's page")
		file := flags.String("out", "", "file to write (manifest)")
		dir := flags.String("dir", "", "directory to write to (index)")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		manifest, err := render(*root, *from, *base)
		if err != nil {
			return err
		}
		if args[0] == "index" {
			return index(*root, *dir, manifest, out)
		}
		if _, err := krew.Check(*file, manifest); err != nil {
			return err
		}
		return os.WriteFile(*file, manifest, 0o644)
	default:
		return fmt.Errorf("%q: want archives, manifest or index", args[0])
	}
}

// archives makes the archives of the named platforms, or of all.
func archives(ctx context.Context, root, dir string, release recipe.Release, names []string, out io.Writer) error {
	if dir == "" {
		return errors.New("-dir is missing")
	}
	r, err := recipe.Read(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		return err
	}
	known := r.Platforms()
	var platforms []recipe.Platform
	for _, name := range names {
		at := slices.IndexFunc(known, func(p recipe.Platform) bool { return p.String() == name })
		if at < 0 {
			return fmt.Errorf("%q: .goreleaser.yaml has %v", name, known)
		}
		platforms = append(platforms, known[at])
	}
	if len(platforms) == 0 {
		platforms = known
	}
	made, err := r.Make(ctx, root, dir, release, r.GoBuild(root), platforms...)
	for _, one := range made {
		fmt.Fprintf(out, "%s  %s\n", one.SHA256, one.Path)
	}
	return err
}

// render renders the manifest for the archives in a directory, after it has laid
// each out as krew would.
func render(root, archives, base string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, ".krew.yaml"))
	if err != nil {
		return nil, err
	}
	tag, err := krew.VersionOf(archives, plugin)
	if err != nil {
		return nil, err
	}
	manifest, err := krew.Render(text, tag, krew.Archives(archives, base))
	if err != nil {
		return nil, err
	}
	m, err := krew.Check(plugin+".yaml", manifest)
	if err != nil {
		return nil, err
	}
	return manifest, installs(m, archives)
}

// installs lays every archive out as krew would.
func installs(m krew.Manifest, archives string) (err error) {
	work, err := os.MkdirTemp("", "krew-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for i, platform := range m.Spec.Platforms {
		machine, err := platform.Machine()
		if err != nil {
			return fmt.Errorf("spec.platforms[%d]: %w", i, err)
		}
		archive := filepath.Join(archives, platform.File())
		if _, err := m.Install(filepath.Join(work, machine.OS+"-"+machine.Arch), machine, archive); err != nil {
			return err
		}
	}
	return nil
}

// index writes a custom index.
func index(root, dir string, manifest []byte, out io.Writer) error {
	if dir == "" {
		return errors.New("-dir is missing: where the index is to be written")
	}
	readme, err := os.ReadFile(filepath.Join(root, "krew", "README.md"))
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return err
	}
	if err := krew.WriteIndex(dir, plugin, manifest, readme, licence); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "wrote %s; make it a git repository:\n"+
		"  git -C %[1]s init -b main && git -C %[1]s add . && git -C %[1]s commit -m 'add %s'\n", dir, plugin)
	return err
}
