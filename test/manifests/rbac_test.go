package manifests_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/test/manifests"
	"github.com/backendtls/backendtls/test/manifests/rights"
)

// rolesIn are the RBAC objects of a kustomization.
func rolesIn(t *testing.T, rendered manifests.Rendered) rights.Roles {
	t.Helper()
	roles, err := rendered.Roles()
	if err != nil {
		t.Fatal(err)
	}
	return roles
}

func operatorGrants(t *testing.T) []rights.Grant {
	t.Helper()
	// Wildcards and URLs are errors already.
	grants, err := rolesIn(t, render(t, base)).Of(manifests.OperatorNamespace, manifests.OperatorServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	if len(grants) == 0 {
		t.Fatal("the operator may do nothing")
	}
	return grants
}

// TestTheOperatorMayWriteWhatIsListedHereAndNothingElse: a list short enough to be read by whoever
// judges a change of the roles.
func TestTheOperatorMayWriteWhatIsListedHereAndNothingElse(t *testing.T) {
	want := strings.Fields(`
		create,patch:configmaps create,patch:serviceaccounts create,patch:services
		create,patch:apps/deployments create,patch:policy/poddisruptionbudgets
		create,patch:networking.k8s.io/networkpolicies
		create:authentication.k8s.io/tokenreviews
		create:coordination.k8s.io/leases@backendtls-system
		create:events.k8s.io/events
		update:coordination.k8s.io/leases@backendtls-system=backendtls-operator
		update:secrets@backendtls-system=backendtls-xds-ca
		update:gateway.networking.k8s.io/backendtlspolicies/status
		update:gateway.networking.k8s.io/gatewayclasses/status
		update:gateway.networking.k8s.io/gateways/status
		update:gateway.networking.k8s.io/grpcroutes/status
		update:gateway.networking.k8s.io/httproutes/status
		update:gateway.networking.k8s.io/listenersets/status
		update:gateway.networking.k8s.io/tcproutes/status
		update:gateway.networking.k8s.io/tlsroutes/status`)
	verbs := map[string][]string{}
	for _, grant := range operatorGrants(t) {
		if slices.Contains([]string{"get", "list", "watch"}, grant.Verb) {
			continue
		}
		what := strings.TrimPrefix(grant.Group+"/"+grant.Resource, "/")
		if grant.Namespace != "" {
			what += "@" + grant.Namespace
		}
		if grant.Name != "" {
			what += "=" + grant.Name
		}
		verbs[what] = append(verbs[what], grant.Verb)
	}
	var got []string
	for what, some := range verbs {
		slices.Sort(some)
		got = append(got, strings.Join(some, ",")+":"+what)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the operator may write\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEveryResourceOfTheGatewayAPIIsThere: a misspelt
// resource grants nothing.
func TestEveryResourceOfTheGatewayAPIIsThere(t *testing.T) {
	files, err := filepath.Glob("../../internal/manifest/crds/gateway.networking.k8s.io_*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no CRDs: %v", err)
	}
	var want, definitions []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(text, &crd); err != nil {
			t.Fatal(err)
		}
		definitions = append(definitions, crd.Name)
		want = append(want, "list "+crd.Spec.Names.Plural, "watch "+crd.Spec.Names.Plural)
		if crd.Spec.Versions[0].Subresources != nil && crd.Spec.Versions[0].Subresources.Status != nil {
			want = append(want, "update "+crd.Spec.Names.Plural+"/status")
		}
	}
	var got, read []string
	for _, grant := range operatorGrants(t) {
		switch {
		case grant.Group == "gateway.networking.k8s.io":
			got = append(got, grant.Verb+" "+grant.Resource)
		case grant.Resource == "customresourcedefinitions":
			read = append(read, grant.Name)
		}
	}
	for _, list := range [][]string{want, got, definitions, read} {
		slices.Sort(list)
	}
	if !slices.Equal(got, want) {
		t.Errorf("granted: %v\nwant: %v", got, want)
	}
	if !slices.Equal(read, definitions) {
		t.Errorf("CRDs that may be read: %v\nwant: %v", read, definitions)
	}
}

func TestNobodyIsGivenTheRightToRaiseRights(t *testing.T) {
	for name, dir := range kustomizations(t) {
		roles := rolesIn(t, render(t, dir))
		rules := map[string][]rbacv1.PolicyRule{}
		for _, role := range roles.ClusterRoles {
			rules[role.Name] = role.Rules
			if role.AggregationRule != nil {
				t.Errorf("%s: %s takes in what others label", name, role.Name)
			}
		}
		for _, role := range roles.Roles {
			rules[role.Name] = append(rules[role.Name], role.Rules...)
		}
		for role, some := range rules {
			for _, rule := range some {
				for _, verb := range rule.Verbs {
					if slices.Contains([]string{"escalate", "bind", "impersonate", "deletecollection", "*"}, verb) {
						t.Errorf("%s: %s may %s %v", name, role, verb, rule.Resources)
					}
				}
				if slices.Contains(rule.APIGroups, "rbac.authorization.k8s.io") ||
					slices.Contains(rule.Resources, "serviceaccounts/token") ||
					slices.Contains(rule.Resources, "pods/exec") {
					t.Errorf("%s: %s is about %v", name, role, rule.Resources)
				}
			}
		}
	}
}

// TestNobodyIsGivenTheRightToWeaken: writing GatewayParameters stays with whoever
// may do everything, and edit and admin get nothing through us but seeing.
func TestNobodyIsGivenTheRightToWeaken(t *testing.T) {
	for _, role := range rolesIn(t, render(t, base)).ClusterRoles {
		reads := true
		for _, rule := range role.Rules {
			only := !slices.ContainsFunc(rule.Verbs, func(verb string) bool {
				return !slices.Contains([]string{"get", "list", "watch"}, verb)
			})
			if !only && slices.Contains(rule.APIGroups, "backendtls.dev") {
				t.Errorf("%s may write %v", role.Name, rule.Resources)
			}
			reads = reads && only
		}
		for label := range role.Labels {
			aggregate := strings.HasPrefix(label, "rbac.authorization.k8s.io/aggregate-to-")
			if aggregate && (label != "rbac.authorization.k8s.io/aggregate-to-view" || !reads) {
				t.Errorf("%s is aggregated by %s", role.Name, label)
			}
			if aggregate && slices.ContainsFunc(role.Rules, func(rule rbacv1.PolicyRule) bool {
				return slices.Contains(rule.Resources, "secrets")
			}) {
				t.Errorf("%s shows Secrets to whoever may view", role.Name)
			}
		}
	}
}

// TestWhoeverMayViewSeesWhatTheOperatorDecidesBy: but for what is Kubernetes' own,
// which the built-in view shows or people are not shown.
func TestWhoeverMayViewSeesWhatTheOperatorDecidesBy(t *testing.T) {
	const reader, viewer = "backendtls-reader", "backendtls-viewer"
	of := map[string]map[string][]string{reader: {}, viewer: {}}
	for _, role := range rolesIn(t, render(t, base)).ClusterRoles {
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				if own := of[role.Name]; own != nil {
					own[resource+"."+rule.APIGroups[0]] = rule.Verbs
				}
			}
		}
	}
	shown := 0
	for resource := range of[reader] {
		_, group, _ := strings.Cut(resource, ".")
		if slices.Contains([]string{"", "discovery.k8s.io", "apiextensions.k8s.io"}, group) {
			continue
		}
		shown++
		if verbs := of[viewer][resource]; !slices.Equal(verbs, []string{"get", "list", "watch"}) {
			t.Errorf("%s may %v %s", viewer, verbs, resource)
		}
	}
	if shown == 0 || shown != len(of[viewer]) {
		t.Errorf("%s shows %d resources, of which the operator reads %d", viewer, len(of[viewer]), shown)
	}
}

// TestTheOperatorsRolesAreBoundToItAlone: and the roles for people to nobody.
func TestTheOperatorsRolesAreBoundToItAlone(t *testing.T) {
	roles := rolesIn(t, render(t, base))
	people := []string{"backendtls-viewer", "backendtls-prober", "backendtls-policy-editor"}
	check := func(name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject) {
		if len(subjects) != 1 || subjects[0].Kind != rbacv1.ServiceAccountKind ||
			subjects[0].Name != "backendtls-operator" || subjects[0].Namespace != "backendtls-system" {
			t.Errorf("%s is for %v", name, subjects)
		}
		if slices.Contains(people, ref.Name) {
			t.Errorf("%s binds %s", name, ref.Name)
		}
	}
	for _, binding := range roles.ClusterRoleBindings {
		check(binding.Name, binding.RoleRef, binding.Subjects)
	}
	for _, binding := range roles.RoleBindings {
		check(binding.Name, binding.RoleRef, binding.Subjects)
	}
}

// TestTheOperatorsRightsAreComparedWithAnAuditLog: the one that a cluster's
// suite leaves, here in small.
func TestTheOperatorsRightsAreComparedWithAnAuditLog(t *testing.T) {
	event := func(verb, group, resource, namespace, name string, code int) string {
		return fmt.Sprintf(`{"stage":"ResponseComplete","verb":%q,"user":{"username":%q},"objectRef":`+
			`{"apiGroup":%q,"resource":%q,"namespace":%q,"name":%q},"responseStatus":{"code":%d}}`+"\n",
			verb, "system:serviceaccount:backendtls-system:backendtls-operator", group, resource, namespace, name, code)
	}
	var log strings.Builder
	for _, grant := range operatorGrants(t) {
		if grant.Verb == "list" {
			continue
		}
		resource, _, _ := strings.Cut(grant.Resource, "/")
		line := event(grant.Verb, grant.Group, resource, grant.Namespace, grant.Name, 200)
		if resource != grant.Resource {
			line = strings.Replace(line, `"resource"`, `"subresource":"status","resource"`, 1)
		}
		log.WriteString(line)
	}
	faults, err := manifests.OperatorRights(base, strings.NewReader(log.String()))
	if err != nil || len(faults) > 0 {
		t.Errorf("got %v, %v, want no fault", faults, err)
	}
	forbidden := event("delete", "apps", "deployments", "shop", "web", 403)
	faults, err = manifests.OperatorRights(base, strings.NewReader(log.String()+forbidden))
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "delete deployments.apps web in shop") {
		t.Errorf("got %v, %v, want the one that was forbidden", faults, err)
	}
	short := strings.Replace(log.String(), `"replicasets"`, `"replicationcontrollers"`, 1)
	faults, err = manifests.OperatorRights(base, strings.NewReader(short))
	if err != nil || len(faults) != 1 || !strings.Contains(faults[0], "get replicasets.apps") {
		t.Errorf("got %v, %v, want the one that was not used", faults, err)
	}
	if faults, err := manifests.OperatorRights(base, strings.NewReader("")); err == nil {
		t.Errorf("a log without the operator says %v", faults)
	}
}

// TestTheProbeComponentGivesTheOperatorOneRight and nobody else any.
func TestTheProbeComponentGivesTheOperatorOneRight(t *testing.T) {
	roles := rolesIn(t, render(t, base+"/components/probe"))
	grants, err := roles.Of(manifests.OperatorNamespace, manifests.OperatorServiceAccount)
	if err != nil {
		t.Fatal(err)
	}
	if want := []rights.Grant{{Role: "ClusterRole backendtls-probe", Verb: "get", Resource: "pods"}}; !slices.Equal(grants, want) {
		t.Errorf("the operator gets %v, want %v", grants, want)
	}
	for _, binding := range roles.ClusterRoleBindings {
		if len(binding.Subjects) != 1 {
			t.Errorf("%s is for %v", binding.Name, binding.Subjects)
		}
	}
	for _, grant := range operatorGrants(t) {
		if grant.Resource == "pods" && grant.Verb == "get" {
			t.Error("the operator may get Pods without the component")
		}
	}
}
