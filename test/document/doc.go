// Package document edits decoded YAML for fuzzing, and has a snapshot of it:
// objects as an API server without a schema would take them. A fuzzer's input says which value of which
// document goes, doubles, or becomes a value from anywhere else in the corpus, so
// that what it makes stays close to what people write.
package document
