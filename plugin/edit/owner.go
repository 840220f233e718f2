package edit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Manager is the field manager under which an API server files what this
// program writes.
const Manager = "kubectl-backendtls"

// Taken are the fields of an object that a write takes away from one other
// manager: it sets them to another value or removes them.
type Taken struct {
	// Manager is the name by which the API server knows who wrote them.
	Manager string
	// Fields are option keys, keys of a ConfigMap, or names of fields, sorted.
	Fields []string
}

// Who is the manager as people know it.
func (t Taken) Who() string { return t.habit().who }

// Outcome says what will become of the change because of that manager.
func (t Taken) Outcome() string { return t.habit().outcome }

// Undoes says whether the manager may undo the change by itself, from a source of
// its own.
func (t Taken) Undoes() bool {
	outcome := t.habit().outcome
	return outcome != once && outcome != applied
}

// habit is what is known of a manager: who it is, and what becomes of a change
// of its fields.
type habit struct{ who, outcome string }

const (
	once    = "it does nothing by itself"
	reverts = "it will undo this"
	upgrade = "its next upgrade will undo this"
	applied = "applying that manifest again undoes this"
	perhaps = "it may undo this"
)

// habits are those of the managers that people meet, by the beginning of their
// names; the first that fits counts.
var habits = []struct{ prefix, who, outcome string }{
	{"argocd-", "Argo CD", reverts},
	{"kustomize-controller", "Flux", reverts},
	{"helm-controller", "Flux", reverts},
	{"flux-", "Flux", reverts},
	{"configsync.", "Config Sync", reverts},
	{"helm", "Helm", upgrade},
	{"terraform", "Terraform", upgrade},
	{"hashicorp", "Terraform", upgrade},
	{"pulumi", "Pulumi", upgrade},
	{"kubectl-client-side-apply", "kubectl apply", applied},
	{"kubectl-", "kubectl", once},
	{"kubectl", "kubectl apply", applied},
}

func (t Taken) habit() habit {
	for _, known := range habits {
		if strings.HasPrefix(strings.ToLower(t.Manager), known.prefix) {
			return habit{who: fmt.Sprintf("%s (%s)", known.who, t.Manager), outcome: known.outcome}
		}
	}
	return habit{who: t.Manager, outcome: perhaps}
}

// owners reads who owns what of an object. Status is left out: a write of ours
// never touches it.
func owners(live *unstructured.Unstructured) ([]owner, error) {
	var list []owner
	for _, entry := range live.GetManagedFields() {
		if entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		set := map[string]any{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &set); err != nil {
			return nil, fmt.Errorf("metadata.managedFields of %s cannot be read: %w", entry.Manager, err)
		}
		list = append(list, owner{
			manager: entry.Manager, applies: entry.Operation == metav1.ManagedFieldsOperationApply, set: set,
		})
	}
	return list, nil
}

// owner is an entry of metadata.managedFields. One manager has an entry for
// what it applied and another for what it wrote otherwise, and an API server
// treats these two as strangers.
type owner struct {
	manager string
	applies bool
	// set is FieldsV1: nested maps with "f:NAME" keys, empty for a leaf.
	set map[string]any
}

// ours says whether what we applied is filed there: only that can be changed and
// removed by another apply without force.
func (o owner) ours() bool { return o.manager == Manager && o.applies }

// owns says whether the field of that path is among its own.
func (o owner) owns(path []string) bool {
	set := o.set
	for _, name := range path {
		below, found := set["f:"+name].(map[string]any)
		if !found {
			return false
		}
		set = below
	}
	return true
}

// leaves lists the paths that it owns, sorted. An element of a list, which is
// known by its keys or its value and not by a name, makes ok false. Owning a
// mapping as such, without any of its keys, is nothing to repeat.
func (o owner) leaves() (paths [][]string, ok bool) {
	ok = gather(o.set, nil, &paths)
	slices.SortFunc(paths, slices.Compare)
	return paths, ok
}

func gather(set map[string]any, at []string, paths *[][]string) bool {
	for key, below := range set {
		if key == "." {
			continue
		}
		name, named := strings.CutPrefix(key, "f:")
		fields, nested := below.(map[string]any)
		if !named || !nested {
			return false
		}
		path := append(slices.Clone(at), name)
		if len(fields) == 0 {
			*paths = append(*paths, path)
			continue
		}
		if !gather(fields, path, paths) {
			return false
		}
	}
	return true
}

// byManager groups fields by who loses them, sorted by name.
func byManager(fields map[string][]string) []Taken {
	var list []Taken
	for manager, names := range fields {
		slices.Sort(names)
		list = append(list, Taken{Manager: manager, Fields: slices.Compact(names)})
	}
	slices.SortFunc(list, func(a, b Taken) int { return cmp.Compare(a.Manager, b.Manager) })
	return list
}
