package manifest

// What a directory may hold. The limits exist so that one file, by accident or
// by intent, cannot exhaust the memory of whoever reads it; they are far above
// what an API server would take.
const (
	// MaxFileSize is the size of one file in bytes.
	MaxFileSize = 8 << 20
	// MaxValues is the number of indicators that may begin a value in one file,
	// see weigh: the tree of one costs up to 460 bytes of memory.
	MaxValues = 300_000
	// maxObjectValues is the number of values and keys in one object that is read.
	// An EndpointSlice of 1000 endpoints, the most there may be, has about 25 000;
	// checking a value costs far more than parsing it.
	maxObjectValues = 50_000
	// maxResourceValues is the same for a kind with a CRD, whose schema validator
	// compares each error with all before it. An HTTPRoute of 128 matches, the most
	// there may be, with three headers each has about 4000.
	maxResourceValues = 10_000
	// maxFaults is the number of errors in the objects of one file, for the same
	// reason.
	maxFaults = 10_000
	// maxObjectText is the number of bytes of text in one object that is read, keys
	// included: what an API server takes in one request.
	maxObjectText = 3 << 20
	// maxDirectives is the number of lines of one file that begin with %, each of
	// which the YAML library compares with all before it.
	maxDirectives = 100
	// MaxFiles is the number of files below one directory.
	MaxFiles = 100_000
	// MaxDirectories is the number of directories below one directory.
	MaxDirectories = 20_000
	// MaxDocuments is the number of documents in one file.
	MaxDocuments = 20_000
	// maxAliased is the number of values that the aliases (*name) of one file
	// may stand for, all expansions counted: a chain of nine anchors with nine
	// aliases each stands for 387 million.
	maxAliased = 40_000
	// maxAliasedText is the number of bytes of text that these values may have.
	maxAliasedText = 1 << 20
	// maxDepth is how deep values may be nested.
	maxDepth = 100
	// maxProblems is the number of problems reported of one object.
	maxProblems = 10
)
