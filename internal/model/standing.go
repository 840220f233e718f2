package model

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Standing is what one policy comes to on one Gateway, in a form that can be
// counted: it says what status says, in numbers, and no reason or message.
type Standing struct {
	Policy, Gateway gwapi.Key
	// Mode is what SecurityDegraded=True names: the mode that status says now, as
	// it was read, or is to say next, and what covers both where they differ.
	// Standard where SecurityDegraded is and stays False.
	Mode Mode
	// Since is when SecurityDegraded turned True, however often the mode was
	// renewed or changed since; zero in Standard.
	Since time.Time
	// Until is when Mode ends by itself; zero for never, in Standard, and where
	// Mode is not what the policy asks for.
	Until time.Time
	// Accepted is false where the Gateway answers 500 because of the policy.
	Accepted bool
	// Programmed says that every Envoy has acknowledged what the policy decides.
	Programmed bool
	// RevocationEnds is the earliest nextUpdate of the certificate revocation lists
	// in use, of the newest of each issuer; zero for none.
	RevocationEnds time.Time
}
