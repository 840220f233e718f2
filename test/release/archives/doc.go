// Package archives proves all six archives of a release: that each holds the
// program for its platform, built as the recipe says, and is laid out as krew
// lays it out. `make test-release` builds them, which takes minutes the first
// time; with ARCHIVES=DIR it takes those that GoReleaser has made.
package archives
