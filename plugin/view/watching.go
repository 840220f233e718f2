package view

import (
	"io"
	"time"

	"k8s.io/cli-runtime/pkg/printers"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// Watching prints paths again and again: first a table, then rows of the same
// table, in its columns and without its header, as kubectl does.
type Watching struct {
	printer printers.ResourcePrinter
	// out remembers how wide the columns were.
	out interface {
		io.Writer
		Flush() error
	}
}

// NewWatching prints to w.
func NewWatching(w io.Writer, wide, withNamespace bool) *Watching {
	return &Watching{
		printer: printers.NewTablePrinter(printers.PrintOptions{Wide: wide, WithNamespace: withNamespace}),
		out:     printers.GetNewTabWriter(w),
	}
}

// Paths prints these.
func (w *Watching) Paths(paths []cliv1alpha1.Path, now time.Time) error {
	if err := w.printer.PrintObj(tableOf(pathColumns(), pathRows(paths, now)), w.out); err != nil {
		return err
	}
	return w.out.Flush()
}
