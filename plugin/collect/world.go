package collect

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
	"github.com/backendtls/backendtls/internal/resolve"
	"github.com/backendtls/backendtls/internal/snapshot"
)

// World is what a verb decides by. It is not modified after it was made.
type World struct {
	// Source is where it was read: the path as the user named it, or the cluster.
	Source string
	// Snapshot holds the objects, with the statuses that the operator wrote.
	Snapshot *snapshot.Snapshot
	// Result is what the operator's Build makes of Snapshot.
	Result resolve.Result
	// Set knows the file, line and document of each object; it is empty in a
	// cluster.
	Set *manifest.Set
	// Problems are what is wrong with the files.
	Problems []manifest.Problem
	// Warnings say what could not be read of a cluster, each cause once.
	Warnings []string

	// live says that it was read from an API server.
	live bool
	// neighbours are what other implementations configure.
	neighbours neighbours
	// missing are the rights that lack.
	missing []Missing
	// refs are the objects that are named, existing or missing.
	refs  map[gwapi.Key]bool
	files []manifest.File
	// state is where the statuses were read.
	state string
	// unread are the problems of files that could not be read.
	unread []manifest.Problem
	// readings spare what is read of other files than before.
	readings *Readings
	// services are sorted; ports are theirs.
	services []gwapi.Key
	ports    map[gwapi.Key][]Port
}

// Files reads a directory of manifests, or one file, and the statuses that a
// standalone operator keeps in state, "" for .backendtls beside them. Now is
// the time at which modes and dates are judged. The error is about the path, for people:
// what is wrong inside is in Problems.
func Files(path, state string, now time.Time) (*World, error) {
	return new(Readings).Files(path, state, now)
}

// With is the World as it would be if the files had these contents; those that
// do not exist yet are added. Nothing is written, and nothing else is read
// again but the statuses.
func (w *World) With(changed []manifest.File) *World {
	files := slices.Clone(w.files)
	for _, change := range changed {
		i := slices.IndexFunc(files, func(file manifest.File) bool { return file.Path == change.Path })
		if i < 0 {
			files = append(files, change)
			continue
		}
		files[i] = change
	}
	return assemble(w.Source, w.state, files, w.unread, w.Snapshot.Now, w.readings)
}

// Content is what was read from a file.
func (w *World) Content(path string) ([]byte, bool) {
	i := slices.IndexFunc(w.files, func(file manifest.File) bool { return file.Path == path })
	if i < 0 {
		return nil, false
	}
	return w.files[i].Data, true
}

// Directory is where a new file goes.
func (w *World) Directory() string { return directory(w.Source) }

func assemble(
	path, state string, files []manifest.File, unread []manifest.Problem, now time.Time, readings *Readings,
) *World {
	set, problems := readings.parse(files)
	problems = append(slices.Clone(unread), problems...)
	statuses, faults := manifest.ReadStatus(state)
	problems = append(problems, faults...)
	generations, err := manifest.ReadGenerations(state)
	if err != nil {
		problems = append(problems, manifest.Problem{
			File: manifest.GenerationsPath(state), Class: manifest.Unparsable, Message: err.Error(),
		})
	}
	set = set.WithStatuses(statuses).WithGenerations(generations)
	snap := set.Snapshot()
	snap.Now = now
	world := &World{
		Source: path, Snapshot: snap, Set: set, Problems: problems,
		files: files, state: state, unread: unread, readings: readings,
	}
	world.build()
	world.readNeighbourFiles()
	return world
}

// build decides, and gathers what leads to each port.
func (w *World) build() {
	w.Result = resolve.Build(w.Snapshot)
	w.refs = map[gwapi.Key]bool{}
	w.gather()
	for key := range w.Result.Refs {
		w.refs[key] = true
	}
}

// errNoManifests is what is wrong with a directory that holds none.
var errNoManifests = errors.New("holds no .yaml, .yml or .json file")

// read reads every manifest that can be read.
func read(path string) ([]manifest.File, []manifest.Problem, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s does not exist: -f takes a directory of manifests or one file", path)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read %w", manifest.Explain(path, err))
	}
	if !info.IsDir() {
		file, _, err := manifest.Read(path)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read %w", err)
		}
		return []manifest.File{file}, nil, nil
	}
	listing, err := manifest.List(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot read %w", err)
	}
	if len(listing.Files)+len(listing.Unreadable) == 0 {
		return nil, nil, fmt.Errorf("%s %w", path, errNoManifests)
	}
	var files []manifest.File
	for _, entry := range listing.Files {
		file, _, err := manifest.Read(entry.Path)
		if err != nil {
			listing.Unreadable = append(listing.Unreadable, manifest.Unreadable{Path: entry.Path, Err: err})
			continue
		}
		files = append(files, file)
	}
	var problems []manifest.Problem
	for _, unreadable := range listing.Unreadable {
		problems = append(problems, manifest.Problem{
			File: unreadable.Path, Class: manifest.Unparsable, Message: "cannot be read: " + unreadable.Err.Error(),
		})
	}
	return files, problems, nil
}

// directory is the directory of manifests, whose state is looked for.
func directory(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	return filepath.Dir(path)
}
