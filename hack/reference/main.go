// Reference writes the reference of `kubectl backendtls`: what --help of each
// command says, as Markdown, one file for each. The same commands give the same
// bytes.
//
// Usage: reference DIR
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backendtls/backendtls/plugin"
	"github.com/backendtls/backendtls/plugin/command"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: reference DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

// write writes the pages, and removes what it wrote for commands that are no
// more.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		return err
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for name, text := range pages() {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// pages are all pages by file name.
func pages() map[string]string {
	root := plugin.NewRoot(command.Options{
		In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard,
		Program: "kubectl backendtls",
		Now:     time.Now,
	})
	found := map[string]string{}
	var list strings.Builder
	collect(root, found, &list)
	found["README.md"] = page(root) + "## Commands\n\n" + list.String() +
		"\nThese pages are made of what `--help` says, by `make generate`. " +
		"[plugin.md](../plugin.md) has every verb by example.\n"
	return found
}

// collect makes the pages of the commands below one, and a list of them.
func collect(parent *cobra.Command, found map[string]string, list *strings.Builder) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		found[file(c)] = page(c)
		fmt.Fprintf(list, "- [`%s`](%s): %s\n", c.CommandPath(), file(c), c.Short)
		collect(c, found, list)
	}
}

// file is the name of a command's page: inspect.md, skip-verify_on.md.
func file(c *cobra.Command) string {
	words := strings.Fields(strings.TrimPrefix(c.CommandPath(), c.Root().CommandPath()))
	return strings.Join(words, "_") + ".md"
}

// page is what --help of a command says.
func page(c *cobra.Command) string {
	var text strings.Builder
	fmt.Fprintf(&text, "# %s\n\n", c.CommandPath())
	fmt.Fprintf(&text, "%s\n\n", block(strings.TrimSpace(long(c))))
	if c.Runnable() && c.HasParent() {
		fmt.Fprintf(&text, "## Usage\n\n%s\n\n", block(c.UseLine()))
	}
	if c.HasExample() {
		fmt.Fprintf(&text, "## Examples\n\n%s\n\n", block(strings.TrimRight(c.Example, "\n")))
	}
	c.InitDefaultHelpFlag()
	if flags := c.NonInheritedFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(&text, "## Flags\n\n%s\n\n", block(strings.TrimRight(flags, "\n")))
	}
	return text.String()
}

// long is the description of a command, or the line that stands for it.
func long(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

// block keeps text as it is: help is laid out for a terminal.
func block(text string) string { return "```\n" + text + "\n```" }
