// Package inplace changes single fields of one object in the text of a
// manifest and leaves every other byte as its author wrote it: comments, blank
// lines, quotes, indentation, line ends. It edits text at the positions that
// the parser reports, and then reads the result again: a result that is not
// exactly the wanted change of exactly that object is an error, never written.
//
// It knows YAML and JSON, no policies and no files.
//
//	after, err := inplace.Apply(content, inplace.Place{Start: 0, End: len(content), Item: inplace.NoList},
//		[]inplace.Change{{Path: []string{"spec", "replicas-note"}, Value: inplace.Text("three")}})
package inplace
