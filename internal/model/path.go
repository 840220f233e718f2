package model

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Path is one way that requests take, or would take, to a port of a Service:
// what `inspect` lists and what the writing verbs look up. Unlike a Gateway it
// also covers the paths that answer 500 and those of other controllers.
type Path struct {
	Gateway  gwapi.Key
	Listener string
	// Controller is the class's controllerName, "" where the class is unknown.
	Controller string
	// Ours says whether Controller is this project's.
	Ours  bool
	Route gwapi.Key
	// Rule is the index of the rule in the route.
	Rule      int
	Hostnames []string
	Service   gwapi.Key
	Port      int32
	PortName  string
	// Passthrough says that the client's own TLS reaches the Service: no policy
	// decides there. Mirror says that the Service gets copies of requests: where
	// the path has a fault, nothing is sent, and nobody is answered 500.
	Passthrough, Mirror bool
	// Backend is Backend.Name in the Gateway's Backends, "" where requests get
	// a 500 (or another controller decides).
	Backend string
	// Fault says why requests get a 500, "" if they do not: a condition's reason
	// and its message.
	FaultReason, Fault string
	// Policy is the decision about the port, nil where no policy targets it.
	Policy *Decision
}

// Decision is what one policy means for one port of its target on one Gateway.
type Decision struct {
	Policy gwapi.Key
	// Requested is the mode that spec.options asks for.
	Requested Mode
	State     ModeState
	Since     time.Time
	Until     time.Time
	Reason    string
	// Trust is what Envoy is told to enforce: the requested mode while it is
	// Active, else the policy as written. Nil where the policy is refused.
	Trust *Trust
	// Written is the policy as written. Nil where the policy is refused.
	Written *Trust
	// Ignored lists foreign option keys, sorted.
	Ignored []string
}

// ModeState says where a requested insecure mode stands.
type ModeState string

// The states of a mode.
const (
	ModeNone       ModeState = ""           // no insecure mode is asked for
	ModeAnnounced  ModeState = "Announced"  // allowed, waiting until status shows it
	ModeActive     ModeState = "Active"     // in force
	ModeNotStarted ModeState = "NotStarted" // before mode-since
	ModeExpired    ModeState = "Expired"    // at or after mode-until
	ModeRefused    ModeState = "Refused"    // the Gateway does not allow it: 500
)
