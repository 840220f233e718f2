// Command kubectl-backendtls is the kubectl plugin: `kubectl backendtls`.
package main

import (
	"os"

	"github.com/backendtls/backendtls/plugin"
)

// version is set by the linker.
var version string

func main() { os.Exit(plugin.Execute(version)) }
