package target

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/plugin/collect"
)

// absent is the error about an object that does not exist: it names the one
// that was probably meant, else the next step.
func (r Reference) absent(world *collect.World, namespace string) error {
	if reason, hidden := world.Hidden(r.Kind, namespace); hidden {
		return notFound(fmt.Sprintf("whether %s/%s exists in namespace %s is not known: %s",
			Short(r.Kind), r.Name, namespace, reason))
	}
	what := fmt.Sprintf("%s/%s does not exist in namespace %s of %s", Short(r.Kind), r.Name, namespace, world.Source)
	everything := "inspect -A -f " + world.Source
	if world.Live() {
		everything = "inspect -A"
	}
	if fault, broken := world.Snapshot.Faults[gwapi.KeyOf(r.Kind, namespace, r.Name)]; broken {
		return notFound(fmt.Sprintf("%s/%s is not usable: %s", Short(r.Kind), r.Name, fault))
	}
	var elsewhere, near []string
	for _, name := range NamesOf(world.Snapshot, r.Kind) {
		switch {
		case name.Name == r.Name:
			elsewhere = append(elsewhere, "-n "+name.Namespace)
		case name.Namespace == namespace && similar(name.Name, r.Name):
			near = append(near, Short(r.Kind)+"/"+name.Name)
		}
	}
	switch {
	case len(elsewhere) > 0:
		return notFound(fmt.Sprintf("%s, but elsewhere: add %s", what, strings.Join(elsewhere, " or ")))
	case len(near) > 0:
		return notFound(fmt.Sprintf("%s; did you mean %s?", what, strings.Join(near, " or ")))
	default:
		return notFound(fmt.Sprintf("%s; `kubectl backendtls %s` lists what there is", what, everything))
	}
}

// NamesOf lists the objects of a kind that can be named, by namespace and name.
func NamesOf(snap *snapshot.Snapshot, kind gwapi.Kind) []types.NamespacedName {
	switch kind {
	case gwapi.KindService:
		return list(snap.Services)
	case gwapi.KindBackendTLSPolicy:
		return list(snap.TLSPolicies)
	case gwapi.KindGateway:
		return list(snap.Gateways)
	case gwapi.KindHTTPRoute:
		return list(snap.HTTPRoutes)
	case gwapi.KindGRPCRoute:
		return list(snap.GRPCRoutes)
	case gwapi.KindTLSRoute:
		return list(snap.TLSRoutes)
	default:
		return nil
	}
}

func list[T metav1.Object](objects snapshot.Objects[T]) []types.NamespacedName {
	var names []types.NamespacedName
	for _, object := range objects.Sorted() {
		names = append(names, types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()})
	}
	return names
}

// similar says whether one name is probably a slip of the other: one contains
// the other, or at most two characters (one in a short name) differ.
func similar(a, b string) bool {
	if len(b) >= 3 && strings.Contains(a, b) || len(a) >= 3 && strings.Contains(b, a) {
		return true
	}
	return distance(a, b) <= min(2, max(len(a), len(b))/3)
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		previous := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(previous[j+1]+1, row[j]+1, previous[j]+cost)
		}
	}
	return row[len(b)]
}
