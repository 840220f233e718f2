package session

import (
	"context"
	"io"
	"time"

	cliv1alpha1 "github.com/backendtls/backendtls/plugin/api/v1alpha1"
	"github.com/backendtls/backendtls/plugin/edit"
)

// Action is what a person may do with a port.
type Action string

// The actions that change something.
const (
	ActionPin     Action = "pin"
	ActionUnpin   Action = "unpin"
	ActionSkipOn  Action = "skip-verify on"
	ActionSkipOff Action = "skip-verify off"
)

// PinAsk is what to pin.
type PinAsk struct {
	Service cliv1alpha1.PortReference
	Form    edit.Form
	// Keys limits it to the leaf certificates whose SPKI fingerprints these are,
	// in the form spki-sha256:BASE64; nil for all that are served.
	Keys []string
	// Seen is what was fetched and shown to the person: nothing else is pinned.
	Seen Fetched
}

// SkipAsk is which verification to skip, and for how long.
type SkipAsk struct {
	Service cliv1alpha1.PortReference
	// Only is "" for everything, or "expiry" or "name".
	Only   string
	For    time.Duration
	Reason string
}

// Allowance is what one Gateway that reaches a Service allows.
type Allowance struct {
	Gateway cliv1alpha1.ObjectReference
	Ours    bool
	// Modes that are allowed for a policy of this namespace; empty for none.
	Modes []string
	// Longest is the longest duration, 0 for unlimited.
	Longest      time.Duration
	ReasonNeeded bool
	// Rule says where that is decided and who may change it.
	Rule string
}

// LivePin is a pin of the policy, as rotate looks at it.
type LivePin struct {
	Pin string
	// State is live, next or stale.
	State string
	// Endpoints serve it, as "pod (address)" or address.
	Endpoints []string
	// Subject and NotAfter are of the certificate that serves it, zero where none
	// does.
	Subject  string
	NotAfter time.Time
}

// Confirmation is what has to be answered before a draft is made.
type Confirmation struct {
	// Question is asked; the answer is y or n, unless Type is set.
	Question string
	// Type is the text that has to be typed.
	Type string
	// Why says why a name has to be typed: "this is a key change", ...
	Why string
}

// Draft is a change that was decided, judged by the operator's own Build, and not
// made yet. Nothing of it is stale when it is made: if what it is about has
// changed, Commit refuses with edit.ErrChanged.
type Draft interface {
	// Service is what it is about; Policy names the policy that is written.
	Service() cliv1alpha1.PortReference
	Policy() string
	// Changes says whether anything would be written.
	Changes() bool
	// Show writes what would change and what there is to know before, as the verb
	// shows it, at most width columns wide.
	Show(w io.Writer, width int, color bool) error
	// Difference is the manifest before and after as a unified diff, without
	// colors.
	Difference() string
	// Manifest is the resulting policy, with the ConfigMap that it needs, as YAML.
	Manifest() string
	Confirmation() Confirmation
	// Commit makes the change.
	Commit(ctx context.Context) error
	// Acknowledged follows the Envoys after Commit until all of them have
	// acknowledged the change or ctx ends, and tells each new standing: "Envoy 1/2
	// acknowledged". In files it says so at once.
	Acknowledged(ctx context.Context, tell func(text string)) error
}
