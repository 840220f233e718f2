package rights_test

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/test/manifests/rights"
)

// user is whom the fixtures are about.
const user = "system:serviceaccount:shop:robot"

func fixtures(t *testing.T) (rights.Roles, rights.Requests) {
	t.Helper()
	text, err := os.ReadFile("testdata/roles.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var roles rights.Roles
	if err := yaml.UnmarshalStrict(text, &roles); err != nil {
		t.Fatal(err)
	}
	log, err := os.Open("testdata/audit.log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	requests, err := rights.Read(log, user)
	if err != nil {
		t.Fatal(err)
	}
	return roles, requests
}

func grants(t *testing.T, roles rights.Roles) []rights.Grant {
	t.Helper()
	all, err := roles.Of("shop", "robot")
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRightsThatWereUsedAreInNoVerdict(t *testing.T) {
	roles, requests := fixtures(t)
	verdict := rights.Compare(grants(t, roles), requests, nil)
	want := []string{
		"forbidden: create configmaps in bank: the roles lack it",
		"forbidden: delete pods web-1 in shop: the roles lack it",
	}
	if got := verdict.Faults(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestARefusalOfWhatARoleCoversIsNotALack(t *testing.T) {
	roles, requests := fixtures(t)
	before := rights.Compare(grants(t, roles), requests, nil).Faults()
	maps.Copy(requests.Forbidden, requests.Allowed)
	if got := rights.Compare(grants(t, roles), requests, nil).Faults(); !slices.Equal(got, before) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
	}
}

func TestARightThatIsTakenAwayIsMissingAndOneThatIsAddedIsSuperfluous(t *testing.T) {
	add := func(verb, group, resource string, names ...string) func(*rights.Roles) {
		return func(r *rights.Roles) {
			r.ClusterRoles[0].Rules = append(r.ClusterRoles[0].Rules, rbacv1.PolicyRule{
				Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: names,
			})
		}
	}
	for name, c := range map[string]struct {
		change func(*rights.Roles)
		want   string
	}{
		"a verb that was not asked for":     {add("delete", "", "configmaps"), "ClusterRole robot: delete configmaps"},
		"a resource that was not asked for": {add("get", "", "nodes"), "ClusterRole robot: get nodes"},
		"another group":                     {add("get", "apps", "configmaps"), "ClusterRole robot: get configmaps.apps"},
		"a subresource":                     {add("patch", "", "configmaps/status"), "ClusterRole robot: patch configmaps/status"},
		"the resource of a subresource":     {add("update", "apps", "deployments"), "ClusterRole robot: update deployments.apps"},
		"another object":                    {add("get", "", "configmaps", "b"), "ClusterRole robot: get configmaps b"},
		"what was only asked and forbidden": {add("delete", "", "pods"), "ClusterRole robot: delete pods"},
		"what somebody else asked for":      {add("list", "", "secrets"), "ClusterRole robot: list secrets"},
		"what was asked in another namespace": {func(r *rights.Roles) {
			r.Roles[0].Rules = append(r.Roles[0].Rules, rbacv1.PolicyRule{
				Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"},
			})
		}, "Role robot: get configmaps in shop"},
	} {
		t.Run(name, func(t *testing.T) {
			roles, requests := fixtures(t)
			c.change(&roles)
			superfluous := rights.Compare(grants(t, roles), requests, nil).Superfluous
			if len(superfluous) != 1 || superfluous[0].String() != c.want {
				t.Errorf("superfluous is %v, want %s", superfluous, c.want)
			}
		})
	}
}

func TestAnApplyThatMadeAnObjectUsesTheRightToCreate(t *testing.T) {
	_, requests := fixtures(t)
	made := rights.Request{Group: "apps", Resource: "deployments", Verb: "create", Namespace: "shop", Name: "web"}
	if requests.Allowed[made] != 1 {
		t.Errorf("%s was counted %d times, want 1", made, requests.Allowed[made])
	}
	changed := rights.Request{Resource: "configmaps", Verb: "create", Namespace: "bank", Name: "a"}
	if requests.Allowed[changed] != 0 {
		t.Errorf("an apply that changed an object counts as its creation")
	}
}

func TestAnExcuseHoldsForItsRightAndIsNamedWhenItIsIdle(t *testing.T) {
	roles, requests := fixtures(t)
	roles.ClusterRoles[0].Rules = append(roles.ClusterRoles[0].Rules, rbacv1.PolicyRule{
		Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"services", "nodes"},
	})
	excuses := []rights.Excuse{
		{Verb: "list", Beside: "watch", Why: "a watch may have to begin with a list"},
		{Resource: "leases", Why: "nobody knows"},
	}
	verdict := rights.Compare(grants(t, roles), requests, excuses)
	if len(verdict.Superfluous) != 1 || verdict.Superfluous[0].Resource != "nodes" {
		t.Errorf("superfluous is %v, want only list nodes, which nobody watches", verdict.Superfluous)
	}
	if len(verdict.Idle) != 1 || verdict.Idle[0].Resource != "leases" {
		t.Errorf("idle is %v, want the excuse for leases", verdict.Idle)
	}
}

func TestRolesThatCannotBeCountedAreErrors(t *testing.T) {
	for name, change := range map[string]func(*rights.Roles){
		"a verb that is a wildcard":        func(r *rights.Roles) { r.ClusterRoles[0].Rules[0].Verbs = []string{"*"} },
		"a resource that is a wildcard":    func(r *rights.Roles) { r.ClusterRoles[0].Rules[0].Resources = []string{"*"} },
		"a subresource that is a wildcard": func(r *rights.Roles) { r.ClusterRoles[0].Rules[0].Resources = []string{"*/status"} },
		"a group that is a wildcard":       func(r *rights.Roles) { r.ClusterRoles[0].Rules[0].APIGroups = []string{"*"} },
		"a URL":                            func(r *rights.Roles) { r.ClusterRoles[0].Rules[0].NonResourceURLs = []string{"/metrics"} },
		"a binding to nothing":             func(r *rights.Roles) { r.ClusterRoles = nil },
		"a Role of another namespace":      func(r *rights.Roles) { r.Roles[0].Namespace = "bank" },
	} {
		t.Run(name, func(t *testing.T) {
			roles, _ := fixtures(t)
			change(&roles)
			if all, err := roles.Of("shop", "robot"); err == nil {
				t.Errorf("no error, but %v", all)
			}
		})
	}
}

func TestALineThatIsNoEventIsAnErrorAndOneThatIsBeingWrittenIsNot(t *testing.T) {
	if _, err := rights.Read(strings.NewReader("{}\nnothing\n"), user); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v, want an error that names line 2", err)
	}
	if _, err := rights.Read(strings.NewReader("{}\n{\"kind\": \"Ev"), user); err != nil {
		t.Errorf("got %v for a log that is still being written", err)
	}
}
