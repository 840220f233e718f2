// Package part knows the parts of a cluster, that is the processes of its
// control plane and node: their arguments, configuration files and credentials,
// and how each is asked whether it works.
package part
