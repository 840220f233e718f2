// Package krew knows what krew makes of a plugin: the manifest in an index, the
// rules that krew, the checks of its central index and its reviewers hold it
// to, and where the files of an archive come to lie. It says what is wrong
// before a release is public; it contacts nobody.
//
// Where krew's documentation and its code differ, the code of v0.4.5 counts.
package krew
