package session

import (
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
)

// Scope is what is looked at.
type Scope struct {
	// Namespace is one namespace; paths count that begin, lead through or end
	// there.
	Namespace string
	// All is every namespace that may be read.
	All bool
}

// State is everything that the list and the details show, at one moment. It is
// not modified after it was sent.
type State struct {
	Scope Scope
	// Source is what was read: "context dev", or a path of files.
	Source string
	// Live says that it is a cluster.
	Live bool
	// At is when it was read; Now is the time by the clock that modes and dates
	// are judged by at that moment.
	At, Now time.Time
	// Paths are sorted by Service, port, Gateway and route.
	Paths []cliv1alpha1.Path
	// Events are what was told about the policies and Gateways, newest first.
	Events []Event
	// Problems are what is wrong with files; Warnings what could not be read, each
	// cause once.
	Problems []cliv1alpha1.Problem
	Warnings []string
	// Namespaces are those that may be chosen, sorted.
	Namespaces []string
	// Trouble is why there is nothing to show, or why it is old.
	Trouble Trouble
}

// Event is what somebody told about an object.
type Event struct {
	Object        cliv1alpha1.ObjectReference
	At            time.Time
	Type          string // Normal or Warning
	Reason, Text  string
	Count         int32
	ReportingFrom string
}

// TroubleKind is one of the reasons for which a screen of its own is shown.
type TroubleKind string

// The kinds of trouble.
const (
	// NoTrouble is the usual case.
	NoTrouble TroubleKind = ""
	// NoGatewayAPI is a cluster that serves no kind of the Gateway API.
	NoGatewayAPI TroubleKind = "NoGatewayAPI"
	// NoGateways is a scope with nothing to show: no path, and no Gateway.
	NoGateways TroubleKind = "NoGateways"
	// NothingVisible is a person who may not read what there is to see; Missing
	// names the verb and resource.
	NothingVisible TroubleKind = "NothingVisible"
	// Unreachable is an API server, or a directory, that does not answer. Paths
	// are the last ones that were read, at At.
	Unreachable TroubleKind = "Unreachable"
)

// Trouble says what is wrong with a State as a whole.
type Trouble struct {
	Kind TroubleKind
	// Text says it, and Next what to do about it, in whole sentences.
	Text, Next string
	// Missing are the rights that lack, such as "list gateways.gateway.networking.k8s.io
	// in namespace shop".
	Missing []string
}

// Progress is told how far something has come: endpoints asked of all, or, where
// nothing can be counted, a text. It is never called by two goroutines at once.
type Progress func(done, of int, text string)

// Fetched is what the endpoints of one port served.
type Fetched struct {
	Service   cliv1alpha1.PortReference
	At        time.Time
	Endpoints []cliv1alpha1.EndpointCertificate
	// Partial says that it was cancelled before every endpoint had answered.
	Partial bool
}

// Probed is what verify makes of one port's endpoints, for its paths and by
// itself.
type Probed struct {
	Service      cliv1alpha1.PortReference
	At           time.Time
	Paths        []cliv1alpha1.Path
	Verification cliv1alpha1.Verification
	Fetched      Fetched
}
