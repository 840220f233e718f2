package manifest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// File is one file as it was read.
type File struct {
	// Path is as it should appear in messages.
	Path string
	Data []byte
}

// ReadDir reads every manifest below dir, by path. A dir that is a file is
// read as that file. The first file or directory that cannot be read is the
// error, which names it.
func ReadDir(dir string) ([]File, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, Explain(dir, err)
	}
	if !info.IsDir() {
		file, _, err := Read(dir)
		if err != nil {
			return nil, err
		}
		return []File{file}, nil
	}
	listing, err := List(dir)
	if err != nil {
		return nil, err
	}
	if len(listing.Unreadable) > 0 {
		return nil, listing.Unreadable[0].Err
	}
	files := make([]File, 0, len(listing.Files))
	for _, entry := range listing.Files {
		file, _, err := Read(entry.Path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// Read reads one file of at most MaxFileSize bytes, following symbolic links.
// The FileInfo is that of the opened file after the last byte was read, so
// that a caller can tell whether it changed meanwhile.
func Read(path string) (File, fs.FileInfo, error) {
	// Looked at before it is opened: opening a named pipe waits for a writer.
	info, err := os.Stat(path)
	if err != nil {
		return File{}, nil, Explain(path, err)
	}
	if !info.Mode().IsRegular() {
		return File{}, nil, fmt.Errorf("%s: is no regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return File{}, nil, Explain(path, err)
	}
	defer func() { _ = file.Close() }()
	data, err := io.ReadAll(io.LimitReader(file, MaxFileSize+1))
	if err != nil {
		return File{}, nil, Explain(path, err)
	}
	if len(data) > MaxFileSize {
		return File{}, nil, fmt.Errorf("%s: is larger than %d MiB; split it", path, MaxFileSize>>20)
	}
	if info, err = file.Stat(); err != nil {
		return File{}, nil, Explain(path, err)
	}
	return File{Path: path, Data: data}, info, nil
}

// Explain is the one-line form of an error about path, without the name of
// the system call and whatever other names it was given.
func Explain(path string, err error) error {
	if linkError, ok := errors.AsType[*os.LinkError](err); ok {
		err = linkError.Err
	}
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathError.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}
