package recipe

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Archive is one archive of a release.
type Archive struct {
	Platform Platform
	Path     string
	// SHA256 is of the file, in lower-case hex.
	SHA256 string
}

// entry is a file of an archive.
type entry struct {
	name, source string
	info         info
	modified     time.Time
}

// Make builds the platforms' archives into dir, with the list of checksums that
// a release has, and removes nothing. Files other than the program come from
// the module at root.
func (r *Recipe) Make(
	ctx context.Context, root, dir string, release Release, build Builder, platforms ...Platform,
) ([]Archive, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp(dir, "programs-")
	if err != nil {
		return nil, err
	}
	var made []Archive
	var sums strings.Builder
	for _, platform := range platforms {
		one, err := r.make(ctx, root, dir, work, release, build, platform)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(work))
		}
		made = append(made, one)
		fmt.Fprintf(&sums, "%s  %s\n", one.SHA256, filepath.Base(one.Path))
	}
	if err := os.RemoveAll(work); err != nil {
		return nil, err
	}
	return made, os.WriteFile(filepath.Join(dir, r.Checksum.NameTemplate), []byte(sums.String()), 0o644)
}

// make builds one archive.
func (r *Recipe) make(
	ctx context.Context, root, dir, work string, release Release, build Builder, platform Platform,
) (Archive, error) {
	a := r.Archives[0]
	format, err := a.format(platform)
	if err != nil {
		return Archive{}, err
	}
	name, err := release.expand(a.NameTemplate, platform)
	if err != nil {
		return Archive{}, err
	}
	program := filepath.Join(work, name)
	if err := build(ctx, release, platform, program); err != nil {
		return Archive{}, err
	}
	var entries []entry
	for _, f := range a.Files {
		text, err := release.expand(f.Info.MTime, platform)
		if err != nil {
			return Archive{}, err
		}
		modified, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return Archive{}, fmt.Errorf("files: %s: mtime: %w", f.Src, err)
		}
		entries = append(entries, entry{f.Src, filepath.Join(root, f.Src), f.Info, modified})
	}
	// GoReleaser makes every program executable, whatever the recipe says.
	owner := info{Owner: a.BuildsInfo.Owner, Group: a.BuildsInfo.Group, Mode: 0o755}
	entries = append(entries, entry{r.program(platform), program, owner, release.Commit})
	path := filepath.Join(dir, name+"."+format)
	sum, err := write(path, format, entries)
	return Archive{Platform: platform, Path: path, SHA256: sum}, err
}

// write writes an archive and returns its SHA-256.
func write(path, format string, entries []entry) (sum string, err error) {
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	digest := sha256.New()
	both := io.MultiWriter(out, digest)
	if format == "zip" {
		err = writeZip(both, entries)
	} else {
		err = writeTar(both, entries)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func writeTar(out io.Writer, entries []entry) error {
	packed, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	for _, e := range entries {
		content, err := os.ReadFile(e.source)
		if err != nil {
			return err
		}
		err = archive.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: e.name, Size: int64(len(content)), Mode: int64(e.info.Mode),
			ModTime: e.modified, Uname: e.info.Owner, Gname: e.info.Group,
		})
		if err != nil {
			return err
		}
		if _, err := archive.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), packed.Close())
}

func writeZip(out io.Writer, entries []entry) error {
	archive := zip.NewWriter(out)
	archive.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	for _, e := range entries {
		content, err := os.ReadFile(e.source)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: e.modified.UTC()}
		header.SetMode(e.info.Mode)
		file, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := file.Write(content); err != nil {
			return err
		}
	}
	return archive.Close()
}
