package probe

import (
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// place is what one handshake is made with: an address, the Pod that is said to
// have it, and the server name. However many subjects have it, it is asked once.
type place struct {
	address netip.AddrPort
	pod     gwapi.Key
	sni     string
}

// target is a place that is asked again and again.
type target struct {
	place
	owner    *term
	subjects map[*subject]struct{}
	// due is when it is to be asked next.
	due time.Time
	// lane is where it waits, nil while it is asked or dropped, and index its place
	// there.
	lane  *lane
	index int
	// asked says that it was at all, asking that it is just now.
	asked, asking bool
	// suspect says that it could not be reached the last time.
	suspect bool
	// renewed says that a subject joined while it was asked.
	renewed bool
}

// interval is the smallest that a subject asks for.
func (t *target) interval() time.Duration {
	var least time.Duration
	for s := range t.subjects {
		if least == 0 || s.interval < least {
			least = s.interval
		}
	}
	return least
}

// home is the Service in whose lane it waits from the next time on: of those it
// stands behind, which are all of its pod's namespace, the first by name.
func (t *target) home() types.NamespacedName {
	home := types.NamespacedName{Namespace: t.pod.Namespace}
	for s := range t.subjects {
		if name := s.key.Service.Name; home.Name == "" || name < home.Name {
			home.Name = name
		}
	}
	return home
}

func (t *target) when() time.Time { return t.due }
func (t *target) stand(index int) { t.index = index }
