// Package recipe makes the archives of a release as .goreleaser.yaml says, for
// tests and local trials: without GoReleaser, which takes minutes to build, and
// without a second description of what a release is. An option of a build or an
// archive that it does not know is an error, so that the two cannot part
// unnoticed. It publishes and signs nothing.
package recipe
