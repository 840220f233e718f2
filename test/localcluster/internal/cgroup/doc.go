// Package cgroup keeps every process of a cluster, its pods' too, below one
// control group. The kernel thereby knows all of them, whatever was killed,
// renamed or forgotten, and removal needs no list that could be wrong.
package cgroup
