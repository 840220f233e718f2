// Package node makes the node's view of the file system, in the mount namespace
// of the cluster: the usual paths lead below the cluster's directory, and what
// the parts would otherwise write elsewhere on the host goes nowhere.
package node
