// Package cluster makes a cluster, mends it, tells of it and removes it. Each of
// these may be interrupted at any point: a cluster counts as made when its
// kubeconfig is there, and whatever is there without one is cleared away by the
// next command.
package cluster
