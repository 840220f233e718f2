// Package files is where objects come from and where status goes in
// standalone: a directory of manifests that is watched, and a state directory
// beside it.
//
// A Source reads the directory into Snapshots. What cannot be understood stays
// as it last was, file by file and object by object, and is said once with
// file and line; before everything was understood once there is no Snapshot.
// It is also the sink of statuses: they are written as files, and a Snapshot
// shows a status only after it was read back from its file, because nothing
// may be weakened before it can be read there.
//
// It knows manifest, report and snapshot, and no other room of the operator.
//
//	source, err := files.Open(files.Config{Dir: "deploy", Log: log, Now: time.Now, Endpoints: sink})
//	go source.Run(ctx)
//	for range source.Changes() { build(source.Snapshot()) }
package files
