// Command kubectl-backendtls is the kubectl plugin: `kubectl backendtls`.
package main

import (
	"os"

	"github.com/backendtls/backendtls/plugin"
)

func main() { os.Exit(plugin.Execute()) }
