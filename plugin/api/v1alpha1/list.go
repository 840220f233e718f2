package v1alpha1

// APIVersion is the apiVersion of every kind in this package.
const APIVersion = "cli.backendtls.dev/v1alpha1"

// The kinds.
const (
	KindPathList                = "PathList"
	KindEndpointCertificateList = "EndpointCertificateList"
	KindVerificationList        = "VerificationList"
)

// Header says which kind a document is.
type Header struct {
	// APIVersion is cli.backendtls.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is the name of the list.
	Kind string `json:"kind"`
}

// NewHeader is the header of one of the kinds.
func NewHeader(kind string) Header { return Header{APIVersion: APIVersion, Kind: kind} }

// PathList is what `inspect` prints.
type PathList struct {
	Header `json:",inline"`
	// Items are the paths, sorted by Service, Gateway, route and rule.
	Items []Path `json:"items"`
	// Interrupted says that somebody ended it early: not every endpoint was asked.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are what is wrong with the files that were read.
	Problems []Problem `json:"problems,omitempty"`
}

// EndpointCertificateList is what `fetch` prints.
type EndpointCertificateList struct {
	Header `json:",inline"`
	// Items are the endpoints, sorted by Service, port, key and address, so that
	// replicas with one key are neighbors.
	Items []EndpointCertificate `json:"items"`
	// Interrupted says that somebody ended it early: not every endpoint was asked.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are what is wrong with the files that were read.
	Problems []Problem `json:"problems,omitempty"`
}

// VerificationList is what `verify` prints.
type VerificationList struct {
	Header `json:",inline"`
	// Items are the verifications, one for each port and each trust that a
	// Gateway enforces on it.
	Items []Verification `json:"items"`
	// Interrupted says that somebody ended it early: not every endpoint was asked.
	Interrupted bool `json:"interrupted,omitempty"`
	// Problems are what is wrong with the files that were read.
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is a fault in a file.
type Problem struct {
	// File is the path of the file.
	File string `json:"file"`
	// Line is the line in it, counted from 1; absent where none can be named.
	Line int `json:"line,omitempty"`
	// Object is kind/namespace/name, where the fault is one object's.
	Object string `json:"object,omitempty"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
}

// ObjectReference names an object.
type ObjectReference struct {
	// Kind is the object's kind.
	Kind string `json:"kind"`
	// Namespace is the object's namespace.
	Namespace string `json:"namespace,omitempty"`
	// Name is the object's name.
	Name string `json:"name"`
}

// PortReference names one port of a Service.
type PortReference struct {
	// Namespace is the Service's namespace.
	Namespace string `json:"namespace"`
	// Name is the Service's name.
	Name string `json:"name"`
	// Port is the Service's port number.
	Port int32 `json:"port"`
	// PortName is the name of the port, absent where it has none.
	PortName string `json:"portName,omitempty"`
	// AppProtocol is the port's appProtocol.
	AppProtocol string `json:"appProtocol,omitempty"`
}
