package assess

import (
	"strings"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/target"
	"github.com/backendtls/backendtls/plugin/untrusted"
)

// astray names the policies that were probably meant for a port which no policy
// targets: those that name its Service by another kind, or name a port of it that
// does not exist. "" if there is none.
func (a *Assessor) astray(port collect.Port) string {
	var list []string
	for _, policy := range a.World.Snapshot.TLSPolicies.Sorted() {
		if policy.Namespace != port.Service.Namespace {
			continue
		}
		for _, ref := range policy.Spec.TargetRefs {
			if string(ref.Name) != port.Service.Name {
				continue
			}
			if fault := target.Misses(a.World, policy, ref); fault != "" {
				list = append(list, "; btlspolicy/"+policy.Name+" misses it: "+fault)
			}
		}
	}
	return untrusted.Text(strings.Join(list, ""))
}
