// Render prints what a kustomization renders, as `kubectl kustomize` does, so
// that install.yaml needs neither kubectl nor a download.
//
// Usage: render DIR
package main

import (
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: render DIR")
		os.Exit(2)
	}
	if err := render(os.Stdout, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

// render writes the objects of the kustomization in dir as one YAML stream, in
// the order in which they can be applied.
func render(out io.Writer, dir string) error {
	options := krusty.MakeDefaultOptions()
	// What kubectl does: namespaces and CRDs first, the rest as it depends.
	options.Reorder = krusty.ReorderOptionLegacy
	objects, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return fmt.Errorf("render %s: %w", dir, err)
	}
	text, err := objects.AsYaml()
	if err != nil {
		return fmt.Errorf("write %s as YAML: %w", dir, err)
	}
	_, err = out.Write(text)
	return err
}
