// Package image makes container images of programs without a daemon: one layer,
// the same bytes for the same input.
package image
