package files

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/backendtls/backendtls/internal/manifest"
)

// journal logs each problem once, and once more when it is over.
type journal struct {
	log *slog.Logger
	// open are the problems that were said and are not over.
	open map[manifest.Problem]bool
	// lost is the last error about the directory, and broken about each part
	// of the state.
	lost   string
	broken map[string]string
	waited []string
	counts map[string]int
}

// problems takes note of everything that is wrong now.
func (j *journal) problems(problems []manifest.Problem) {
	current := make(map[manifest.Problem]bool, len(problems))
	troubled := map[string]bool{}
	for _, problem := range problems {
		current[problem] = true
		troubled[problem.File] = true
		if j.open[problem] {
			continue
		}
		attributes := []any{"file", problem.File, "line", problem.Line, "problem", problem.Message}
		if !problem.Object.IsZero() {
			attributes = append(attributes, "object", problem.Object.String())
		}
		j.log.Error(consequence[problem.Class], attributes...)
	}
	recovered := map[string]bool{}
	for problem := range j.open {
		if !troubled[problem.File] {
			recovered[problem.File] = true
		}
	}
	for _, file := range slices.Sorted(maps.Keys(recovered)) {
		j.log.Info("the problems of a file are over", "file", file)
	}
	j.open = current
}

// consequence says what becomes of a file or object with a problem.
var consequence = map[manifest.Class]string{
	manifest.Unparsable: "a file cannot be used; its objects stay as they last were",
	manifest.Invalid: "an object is invalid; it stays as it last was, and without that, " +
		"what it decides about trust fails closed",
	manifest.Duplicate: "an object is given more than once; it stays as it last was, and " +
		"what it decides about trust fails closed",
}

// waiting says which files there is no configuration without.
func (j *journal) waiting(files []string) {
	if !slices.Equal(files, j.waited) {
		j.log.Warn("there is no configuration until these can be read", "files", files)
	}
	j.waited = files
}

func (j *journal) ignored(counts map[string]int) {
	if maps.Equal(counts, j.counts) {
		return
	}
	j.counts = counts
	if len(counts) > 0 {
		j.log.Info("objects of other kinds are ignored", "kinds", counts)
	}
}

func (j *journal) unreadable(dir string, err error) {
	if j.lost != err.Error() {
		j.log.Error("the directory cannot be read; everything stays as it last was", "directory", dir, "error", err)
	}
	j.lost = err.Error()
}

func (j *journal) readable(dir string) {
	if j.lost != "" {
		j.log.Info("the directory can be read again", "directory", dir)
	}
	j.lost = ""
}

// stateWrite takes note of an attempt to write a part of the state.
func (j *journal) stateWrite(part string, err error) {
	was := j.broken[part]
	switch {
	case err != nil && err.Error() != was:
		j.log.Error(fmt.Sprintf("the %s cannot be written; this is tried again", part), "error", err)
	case err == nil && was != "":
		j.log.Info(fmt.Sprintf("the %s are written again", part))
	}
	if j.broken == nil {
		j.broken = map[string]string{}
	}
	j.broken[part] = ""
	if err != nil {
		j.broken[part] = err.Error()
	}
}
