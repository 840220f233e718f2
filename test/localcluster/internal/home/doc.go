// Package home knows the one directory that holds everything a cluster keeps on
// disk, and how the cluster's parts see that directory from inside their mount
// namespace. Names on the host that belong to a cluster (its control group, its
// link) derive from the directory, so that they are found again without it.
package home
