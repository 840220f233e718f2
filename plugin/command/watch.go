package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
	"github.com/backendtls/backendtls/plugin/view"
)

// watching prints the paths of an inspect, and then those that change.
type watching struct {
	o     *inspectOptions
	table *view.Watching
	begun bool
	// shown are the paths as they were printed last, by what identifies them.
	shown map[string]cliv1alpha1.Path
	// said are the warnings that held at the last look.
	said map[string]bool
	// away says that the last look failed, which was said.
	away bool
}

// follow prints until ctx ends, or something cannot be printed.
func (o *inspectOptions) follow(ctx context.Context) error {
	if err := o.placeable(); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := &watching{
		o: o, table: view.NewWatching(o.Out, o.output.Format == view.Wide, o.choose.AllNamespaces),
		shown: map[string]cliv1alpha1.Path{}, said: map[string]bool{},
	}
	scope := session.Scope{Namespace: o.Namespace(), All: o.choose.AllNamespaces}
	o.sitting(screens{via: o.probe.Via, timeout: o.probe.Timeout}).Follow(ctx, scope, func(sight session.Sight) {
		if ctx.Err() != nil {
			return
		}
		if err := w.see(sight); err != nil {
			stop(err)
		}
	})
	return context.Cause(ctx)
}

// see prints what a sight has that the last one had not.
func (w *watching) see(sight session.Sight) error {
	if sight.World == nil || sight.Err != nil && !w.begun {
		return sight.Err
	}
	if w.heed(sight); w.away {
		return nil
	}
	paths, err := w.paths(sight.World)
	if err != nil {
		return err
	}
	changed := w.changed(paths)
	first := !w.begun
	w.begun = true
	if !first && len(changed) == 0 {
		return nil
	}
	return w.print(sight, changed, first)
}

// heed says what could not be read, and whether anything can be, once for as long
// as it is so.
func (w *watching) heed(sight session.Sight) {
	current := map[string]bool{}
	warnings := slices.Clone(sight.Warnings)
	for _, problem := range sight.World.Problems {
		warnings = append(warnings, problem.String())
	}
	for _, warning := range warnings {
		if !w.said[warning] {
			w.o.Warn("%s", warning)
		}
		current[warning] = true
	}
	w.said = current
	switch {
	case sight.Err != nil && !w.away:
		w.o.Warn("%s: what is shown is as it was; it is asked again until it answers", sight.Err)
	case sight.Err == nil && w.away:
		w.o.note("%s answers again.", sight.World.Source)
	}
	w.away = sight.Err != nil
}

// paths are those that are asked for. What is named and not there is an error at
// first only: later it has gone.
func (w *watching) paths(world *collect.World) ([]cliv1alpha1.Path, error) {
	o := *w.o
	if w.begun {
		o.ErrOut = io.Discard // It would say again what it said of the same objects.
	}
	ports, selected, missing := o.find(world)
	switch {
	case w.begun || missing == nil:
	case len(ports) == 0:
		return nil, missing
	default:
		for _, each := range separate(missing) {
			o.Warn("%s", each)
		}
	}
	return o.Assessor(world, &o.probe, nil).Paths(ports, selected), nil
}

// changed are the paths that are new or other than they were printed, and those
// that are gone, in order.
func (w *watching) changed(paths []cliv1alpha1.Path) []cliv1alpha1.Path {
	var changed []cliv1alpha1.Path
	current := map[string]cliv1alpha1.Path{}
	for _, path := range paths {
		id := path.Identity()
		for n := 2; ; n++ {
			if _, taken := current[id]; !taken {
				break
			}
			id = fmt.Sprintf("%s #%d", path.Identity(), n)
		}
		current[id] = path
		if before, known := w.shown[id]; !known || !w.same(before, path) {
			changed = append(changed, path)
		}
	}
	for id, path := range w.shown {
		if _, still := current[id]; !still {
			path.ListenerFault = ""
			path.Verdict = cliv1alpha1.Verdict{Result: assess.Gone, Message: "this path is not there any more"}
			changed = append(changed, path)
		}
	}
	w.shown = current
	slices.SortStableFunc(changed, func(a, b cliv1alpha1.Path) int { return strings.Compare(a.Identity(), b.Identity()) })
	return changed
}

// same says whether two descriptions of a path would be printed alike, but for the
// time that is left.
func (w *watching) same(a, b cliv1alpha1.Path) bool {
	a, b = timeless(a), timeless(b)
	if w.o.output.Format == view.Table {
		return a.Service.Namespace == b.Service.Namespace && a.Verdict.Reason == b.Verdict.Reason &&
			view.CellsOf(a, time.Time{}) == view.CellsOf(b, time.Time{})
	}
	return reflect.DeepEqual(a, b)
}

func timeless(path cliv1alpha1.Path) cliv1alpha1.Path {
	if path.Policy != nil {
		policy := *path.Policy
		policy.Mode.SecondsLeft = nil
		path.Policy = &policy
	}
	return path
}

// print prints paths in the form that is asked for: a document for each change.
func (w *watching) print(sight session.Sight, paths []cliv1alpha1.Path, first bool) error {
	format := w.o.output.Format
	switch {
	case view.IsDocument(format):
		return w.document(sight, paths, first)
	case len(paths) == 0:
		w.o.nothing("paths", w.o.choose, sight.World)
		return nil
	case format == view.Name:
		return w.o.printNames(len(paths), func(i int) cliv1alpha1.PortReference { return paths[i].Service }, w.o.choose)
	default:
		return w.table.Paths(paths, sight.Now)
	}
}

// document prints paths as one document, apart from the one before.
func (w *watching) document(sight session.Sight, paths []cliv1alpha1.Path, first bool) error {
	var text bytes.Buffer
	if !first && w.o.output.Format == view.YAML {
		text.WriteString("---\n")
	}
	if paths == nil {
		paths = []cliv1alpha1.Path{}
	}
	err := view.Document(&text, w.o.output.Format, cliv1alpha1.PathList{
		Header: cliv1alpha1.NewHeader(cliv1alpha1.KindPathList),
		Items:  paths, Problems: assess.Problems(sight.World.Problems),
	})
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(text.Bytes(), []byte("\n")) {
		text.WriteByte('\n') // Templates need not end with one.
	}
	_, err = text.WriteTo(w.o.Out)
	return err
}
