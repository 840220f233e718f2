package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/backendtls/backendtls/test/manifests"
)

// audit is the log of the operator's requests, from a moment on.
type audit struct {
	directory string
	// inode and offset are of the file and the place in it that were written to
	// at that moment; inode is 0 if there was none.
	inode  uint64
	offset int64
}

// auditFrom is the audit log of the cluster in a directory, from now on.
func auditFrom(directory string) (audit, error) {
	a := audit{directory: directory}
	info, err := os.Stat(filepath.Join(directory, "audit.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return a, err
	}
	a.inode, a.offset = inode(info), info.Size()
	return a, nil
}

func inode(info fs.FileInfo) uint64 {
	if stat, is := info.Sys().(*syscall.Stat_t); is {
		return stat.Ino
	}
	return 0
}

// open reads what was written since, over all files that the API server began
// meanwhile.
func (a audit) open() (io.ReadCloser, error) {
	names, err := filepath.Glob(filepath.Join(a.directory, "audit*.log"))
	if err != nil {
		return nil, err
	}
	type file struct {
		name string
		info fs.FileInfo
	}
	files := make([]file, 0, len(names))
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, info})
	}
	slices.SortFunc(files, func(x, y file) int { return cmp.Compare(x.info.ModTime().UnixNano(), y.info.ModTime().UnixNano()) })
	first := 0
	if a.inode != 0 {
		first = slices.IndexFunc(files, func(f file) bool { return inode(f.info) == a.inode })
	}
	if first < 0 || len(files) == 0 {
		return nil, errors.New("the audit log of the beginning is gone: the suite wrote more than is kept")
	}
	log := &parts{}
	for i, file := range files[first:] {
		opened, err := os.Open(file.name)
		if err != nil {
			return nil, errors.Join(err, log.Close())
		}
		log.files = append(log.files, opened)
		if i == 0 && a.inode != 0 {
			if _, err := opened.Seek(a.offset, io.SeekStart); err != nil {
				return nil, errors.Join(err, log.Close())
			}
		}
	}
	readers := make([]io.Reader, len(log.files))
	for i, file := range log.files {
		readers[i] = file
	}
	log.Reader = io.MultiReader(readers...)
	return log, nil
}

// parts are files read as one.
type parts struct {
	io.Reader

	files []*os.File
}

// Close closes all files.
func (p *parts) Close() error {
	var errs error
	for _, file := range p.files {
		errs = errors.Join(errs, file.Close())
	}
	return errs
}

// rights says whether the operator asked for what its roles grant, all of it
// and nothing else.
func (a audit) rights() error {
	log, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	faults, err := manifests.OperatorRights(filepath.Join(root, "manifests"), log)
	if err != nil {
		return err
	}
	var errs error
	for _, fault := range faults {
		errs = errors.Join(errs, fmt.Errorf("roles of the operator: %s", fault))
	}
	return errs
}
