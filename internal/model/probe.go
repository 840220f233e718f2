package model

import (
	"time"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The bounds of the interval between two live checks of one endpoint, and what
// it is where nobody says.
const (
	LeastProbeInterval   = 10 * time.Second
	DefaultProbeInterval = 5 * time.Minute
	MostProbeInterval    = 24 * time.Hour
)

// ProbeKey names what live checks are about: the endpoints of a port of a
// Service, under a policy as written. A changed policy is another key, so that no
// verdict outlives what it was about.
type ProbeKey struct {
	Service gwapi.Key
	Port    int32
	// Written is Backend.Checked.
	Written string
}

// ProbeKey is what the live checks of the backend are about; ok is false where
// it is not checked.
func (b *Backend) ProbeKey() (key ProbeKey, ok bool) {
	return ProbeKey{Service: b.Service, Port: b.Port, Written: b.Checked}, b.Checked != ""
}

// Probed is what live checks found about the endpoints of one ProbeKey, judged
// under the policy as written, whatever mode is in force. It holds no text of a
// peer.
type Probed struct {
	// Endpoints is how many ready endpoints there are.
	Endpoints int
	// Counts are the endpoints that were checked, by result, sorted by it.
	Counts []ProbeCount
	// Unasked are the endpoints that nobody may ask, by why, sorted by it.
	Unasked []ProbeCount
	// Complete says that every endpoint is in one of these; else some have not
	// been checked yet.
	Complete bool
	// Interval is the time between two checks of an endpoint.
	Interval time.Duration
	// Found is when it was first found to be so.
	Found time.Time
	// NotAfter is the earliest end of validity of the leaf certificates that were
	// presented, the zero time without any. It is kept up to date without a new Found.
	NotAfter time.Time
}

// ProbeCount is a number of endpoints with one result.
type ProbeCount struct {
	// Result is a verify.Reason, or ProbeExpiring, or of Unasked one of the
	// ProbeUnasked reasons.
	Result string
	Count  int
	// Leaves are the pins (cert-sha256:HEX) of leaf certificates that had the
	// result, sorted, at most MaxProbeLeaves; empty for what passes.
	Leaves []string
}

// MaxProbeLeaves is how many certificates a ProbeCount names.
const MaxProbeLeaves = 3

// ProbeExpiring is the result of a certificate that passes and ends soon.
const ProbeExpiring = "CertificateExpiring"

// Why an endpoint is not asked.
const (
	// ProbeNotAPod: its EndpointSlice names no Pod of the Service's namespace.
	ProbeNotAPod = "NotAPod"
	// ProbeNotOwned: the Pod does not have the address for itself. It does not
	// exist, has ended, has another address, or uses that of its node.
	ProbeNotOwned = "NotOwned"
	// ProbeForbidden: the operator may not read Pods.
	ProbeForbidden = "Forbidden"
)

// Of counts the endpoints with a result.
func (p *Probed) Of(result string) int {
	for _, count := range p.Counts {
		if count.Result == result {
			return count.Count
		}
	}
	return 0
}

// Checked counts the endpoints that were checked.
func (p *Probed) Checked() (total int) {
	for _, count := range p.Counts {
		total += count.Count
	}
	return total
}
