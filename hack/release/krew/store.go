package krew

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// licences are the names by which the check of the central index knows that a
// licence is installed, in any case
// (krew: cmd/validate-krew-manifest/main.go, licenseFiles).
var licences = []string{
	"license", "license.txt", "license.md", "licenses", "licenses.txt", "licenses.md", "copying", "copying.txt",
}

// Install lays the archive out below root, krew's own directory (KREW_ROOT), as
// krew does on the machine: the files in store/NAME/VERSION, the program linked
// in bin. It returns the link, and fails where krew or the check of its central
// index would.
func (m Manifest) Install(root string, machine Machine, archive string) (link string, err error) {
	platform, err := m.For(machine)
	if err != nil {
		return "", err
	}
	if root, err = filepath.Abs(root); err != nil {
		return "", err
	}
	content, err := os.ReadFile(archive)
	if err != nil {
		return "", err
	}
	if digest := sha256.Sum256(content); hex.EncodeToString(digest[:]) != platform.SHA256 {
		return "", fmt.Errorf("%s: its SHA-256 is %x, the manifest says %s", archive, digest, platform.SHA256)
	}
	store := filepath.Join(root, "store", m.Metadata.Name, m.Spec.Version)
	unpacked := filepath.Join(root, "unpacked")
	if err := errors.Join(os.MkdirAll(store, 0o755), os.MkdirAll(unpacked, 0o755)); err != nil {
		return "", err
	}
	if err := unpack(content, unpacked); err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	if err := platform.move(unpacked, store); err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	if err := errors.Join(os.RemoveAll(unpacked), licensed(store)); err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	program := filepath.Join(store, filepath.FromSlash(platform.Bin))
	if err := runnable(program, machine); err != nil {
		return "", fmt.Errorf("%s: %w", archive, err)
	}
	// Dashes of a plugin's name are underscores in its program's.
	link = filepath.Join(root, "bin", "kubectl-"+strings.ReplaceAll(m.Metadata.Name, "-", "_"))
	if machine.OS == "windows" {
		link += ".exe"
	}
	return link, errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(program, link))
}

// runnable says whether there is a program that the machine can start.
func runnable(program string, machine Machine) error {
	found, err := os.Stat(program)
	switch {
	case err != nil:
		return fmt.Errorf("bin: %w", err)
	case !found.Mode().IsRegular():
		return fmt.Errorf("bin: %s is no file", program)
	case machine.OS != "windows" && found.Mode()&0o111 != 0o111:
		return fmt.Errorf("bin: %s has mode %s: not everybody can execute it", program, found.Mode())
	}
	return nil
}

// move installs what Files says, everything if it says nothing. As in krew, To is
// a file's new name if From is the name of one file, else a directory.
func (p Platform) move(from, to string) error {
	moves := p.Files
	if moves == nil {
		moves = []Move{{From: "*", To: "."}}
	}
	for _, move := range moves {
		found, err := filepath.Glob(filepath.Join(from, filepath.FromSlash(move.From)))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("no file in it is called %q", move.From)
		}
		for _, file := range found {
			target := filepath.Join(to, filepath.FromSlash(move.To), filepath.Base(file))
			if named, err := filepath.Rel(from, file); err == nil && named == move.From && move.To != "." {
				target = filepath.Join(to, filepath.FromSlash(move.To))
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			if err := os.Rename(file, target); err != nil {
				return err
			}
		}
	}
	return nil
}

// licensed says whether a licence is among the installed files.
func licensed(store string) error {
	found := false
	err := filepath.WalkDir(store, func(_ string, entry fs.DirEntry, err error) error {
		found = found || err == nil && entry.Type().IsRegular() &&
			slices.Contains(licences, strings.ToLower(entry.Name()))
		return err
	})
	if err == nil && !found {
		return errors.New("no licence is installed")
	}
	return err
}

// unpack unpacks an archive of whichever kind its content is: krew does not look
// at the name.
func unpack(content []byte, dir string) error {
	switch kind := http.DetectContentType(content); kind {
	case "application/x-gzip":
		return unpackTar(content, dir)
	case "application/zip":
		return unpackZip(content, dir)
	default:
		return fmt.Errorf("it is %s: krew takes gzip and zip only", kind)
	}
}

func unpackTar(content []byte, dir string) error {
	plain, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return err
	}
	for archive := tar.NewReader(plain); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			return fmt.Errorf("%s: not a plain file", header.Name)
		}
		if err := extract(dir, header.Name, header.FileInfo().Mode(), archive); err != nil {
			return err
		}
	}
}

func unpackZip(content []byte, dir string) error {
	archive, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return err
	}
	for _, file := range archive.File {
		packed, err := file.Open()
		if err != nil {
			return err
		}
		err = extract(dir, file.Name, file.Mode(), packed)
		if err := errors.Join(err, packed.Close()); err != nil {
			return err
		}
	}
	return nil
}

// extract writes one file; as krew it refuses names that lead elsewhere.
func extract(dir, name string, mode fs.FileMode, content io.Reader) error {
	if !filepath.IsLocal(name) || strings.Contains(name, "..") || strings.HasPrefix(name, `\`) {
		return fmt.Errorf("%s: a path that leads elsewhere", name)
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode.Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
