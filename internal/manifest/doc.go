// Package manifest turns files into the objects a cluster would make of them:
// YAML and JSON with several documents and Lists, checked against the CRDs'
// schema and CEL rules or decoded strictly, with the defaults an API server
// writes. Each object knows its file, document and line; each Problem names
// them. It also holds what standalone keeps beside the manifests: statuses and
// generations, in the one form that the operator writes and the plugin reads.
//
//	files, err := manifest.ReadDir("deploy")
//	set, problems := manifest.Parse(files)
//	snapshot := set.WithStatuses(statuses).Snapshot()
//
// It reads files but never writes or watches them, and must not import a
// client, a clock or a log.
package manifest
