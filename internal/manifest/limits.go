package manifest

// What a directory may hold. The limits exist so that one file, by accident or
// by intent, cannot exhaust the memory of whoever reads it; they are far above
// what an API server would take.
const (
	// MaxFileSize is the size of one file in bytes.
	MaxFileSize = 32 << 20
	// MaxFiles is the number of files below one directory.
	MaxFiles = 100_000
	// MaxDirectories is the number of directories below one directory.
	MaxDirectories = 20_000
	// MaxDocuments is the number of documents in one file.
	MaxDocuments = 20_000
	// maxAliased is the number of values that the aliases (*name) of one file
	// may stand for, all expansions counted: a chain of nine anchors with nine
	// aliases each stands for 387 million.
	maxAliased = 100_000
	// maxDepth is how deep values may be nested.
	maxDepth = 100
	// maxProblems is the number of problems reported of one object.
	maxProblems = 10
)
