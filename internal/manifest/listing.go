package manifest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Listing is what a directory holds, without the contents.
type Listing struct {
	// Files are the manifests, by path.
	Files []Entry
	// Unreadable are the files and directories that could not be examined. What
	// lies below such a directory is not known.
	Unreadable []Unreadable
	// Directories are those whose change may change the Listing or a file in
	// it, sorted: every one that was read, and the ones that hold the targets
	// of symbolic links, such as the ..data of a mounted ConfigMap.
	Directories []string
}

// Entry is one manifest in a Listing.
type Entry struct {
	Path string
	// Info is that of the file itself, behind any symbolic link.
	Info fs.FileInfo
}

// Unreadable is a path and why it could not be examined.
type Unreadable struct {
	Path string
	Err  error
}

// IsManifest says whether a file of that name is read: .yaml, .yml or .json,
// and not hidden.
func IsManifest(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// List finds every manifest below dir. Names that begin with a dot are
// skipped, symbolic links are followed, and each directory is read once: a
// link that leads back into the tree adds nothing. The error is that of dir
// itself, or that there is too much.
func List(dir string) (Listing, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Listing{}, Explain(dir, err)
	}
	l := lister{root: dir, directories: map[string]bool{}}
	l.linked(dir)
	if err := l.read(dir, info); err != nil {
		return Listing{}, err
	}
	// Linked directories come last, so that a directory that is reached both
	// ways goes by its own path.
	l.following = true
	for len(l.links) > 0 {
		link := l.links[0]
		l.links = l.links[1:]
		if err := l.read(link.Path, link.Info); err != nil {
			l.refuse(link.Path, err)
		}
	}
	switch {
	case len(l.listing.Files) > MaxFiles:
		return Listing{}, fmt.Errorf("%s: holds more than %d manifests", dir, MaxFiles)
	case len(l.seen) > MaxDirectories:
		return Listing{}, fmt.Errorf("%s: holds more than %d directories", dir, MaxDirectories)
	}
	slices.SortFunc(l.listing.Files, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	l.listing.Directories = slices.Sorted(maps.Keys(l.directories))
	return l.listing, nil
}

type lister struct {
	root        string
	listing     Listing
	directories map[string]bool
	seen        []fs.FileInfo
	// links are the linked directories that are still to be read; following
	// says that it is their turn.
	links     []Entry
	following bool
}

func (l *lister) refuse(path string, err error) {
	l.listing.Unreadable = append(l.listing.Unreadable, Unreadable{Path: path, Err: err})
}

func (l *lister) read(dir string, info fs.FileInfo) error {
	known := func(seen fs.FileInfo) bool { return os.SameFile(seen, info) }
	if len(l.seen) > MaxDirectories || l.following && slices.ContainsFunc(l.seen, known) {
		return nil
	}
	l.seen = append(l.seen, info)
	l.directories[dir] = true
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Explain(dir, err)
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), ".") && len(l.listing.Files) <= MaxFiles {
			l.entry(filepath.Join(dir, entry.Name()), entry.Type())
		}
	}
	return nil
}

func (l *lister) entry(path string, mode fs.FileMode) {
	wanted := IsManifest(filepath.Base(path))
	switch {
	case mode&fs.ModeSymlink != 0:
		l.link(path, wanted)
	case mode.IsDir() || wanted:
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			// It went between the listing and this look: as if never listed.
		case err != nil:
			l.refuse(path, Explain(path, err))
		case info.IsDir():
			if err := l.read(path, info); err != nil {
				l.refuse(path, err)
			}
		default:
			l.listing.Files = append(l.listing.Files, Entry{Path: path, Info: info})
		}
	}
}

// link follows a symbolic link to a file, and puts one to a directory off. A
// dangling link counts only where it has the name of a manifest; one to a
// directory that holds the whole tree leads back into it, by way of everything
// beside it, and is left alone.
func (l *lister) link(path string, wanted bool) {
	info, err := os.Stat(path)
	if err != nil {
		if wanted {
			l.linked(path)
			l.refuse(path, fmt.Errorf("%w (the target of this symbolic link)", Explain(path, err)))
		}
		return
	}
	switch {
	case info.IsDir() && !l.above(path):
		l.linked(path)
		l.links = append(l.links, Entry{Path: path, Info: info})
	case !info.IsDir() && wanted:
		l.linked(path)
		l.listing.Files = append(l.listing.Files, Entry{Path: path, Info: info})
	}
}

// above says whether a linked directory holds the root.
func (l *lister) above(link string) bool {
	root, err := filepath.EvalSymlinks(l.root)
	if err != nil {
		return false
	}
	target, err := filepath.EvalSymlinks(link)
	if err != nil {
		return false
	}
	down, err := filepath.Rel(target, root)
	return err == nil && filepath.IsLocal(down)
}

// linked notes the directories that hold the links of a chain, and the one in
// which it ends. A path that is no symbolic link adds nothing.
func (l *lister) linked(path string) {
	target, err := os.Readlink(path)
	if err != nil {
		return
	}
	for range 40 { // Linux follows no more either.
		l.directories[filepath.Dir(path)] = true
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
		if target, err = os.Readlink(path); err != nil {
			break
		}
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		l.directories[filepath.Dir(resolved)] = true
	}
}
