package view

import (
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
)

// column is a column of a list; one that is wide appears with -o wide only.
type column struct {
	name string
	wide bool
}

// row is a line of a list.
type row struct {
	namespace string
	cells     []any
}

// printList prints a Kubernetes table.
func printList(w io.Writer, columns []column, rows []row, wide, withNamespace bool) error {
	printer := printers.NewTablePrinter(printers.PrintOptions{Wide: wide, WithNamespace: withNamespace})
	return printer.PrintObj(tableOf(columns, rows), w)
}

// tableOf is a Kubernetes table.
func tableOf(columns []column, rows []row) *metav1.Table {
	table := &metav1.Table{}
	for _, c := range columns {
		definition := metav1.TableColumnDefinition{Name: c.name, Type: "string"}
		if c.wide {
			definition.Priority = 1
		}
		table.ColumnDefinitions = append(table.ColumnDefinitions, definition)
	}
	for _, r := range rows {
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells: r.cells,
			Object: runtime.RawExtension{Object: &metav1.PartialObjectMetadata{
				Namespace: r.namespace,
			}},
		})
	}
	return table
}
