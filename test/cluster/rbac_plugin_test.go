package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// person is somebody who may do exactly what a role says.
type person struct {
	*space

	name string
	role []rbacv1.PolicyRule
}

// person makes a ServiceAccount with a role in the whole cluster, and waits until
// the API server knows of it.
func (s *space) person(role []rbacv1.PolicyRule) *person {
	s.Helper()
	account := &corev1.ServiceAccount{GenerateName: "person-", Namespace: s.name}
	if err := here.client.Create(s.Context(), account); err != nil {
		s.Fatal(err)
	}
	name := s.name + "-" + account.Name
	cluster := &rbacv1.ClusterRole{Name: name, Rules: role}
	binding := &rbacv1.ClusterRoleBinding{
		Name:     name,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: account.Name, Namespace: s.name}},
	}
	if err := errors.Join(here.client.Create(s.Context(), cluster), here.client.Create(s.Context(), binding)); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		ctx := context.WithoutCancel(s.Context())
		if err := errors.Join(here.client.Delete(ctx, binding), here.client.Delete(ctx, cluster)); err != nil {
			s.Error(err)
		}
	})
	p := &person{space: s, name: "system:serviceaccount:" + s.name + ":" + account.Name, role: role}
	eventually(s.T, time.Minute, p.name+" has its rights", func() string {
		resource, subresource, _ := strings.Cut(role[0].Resources[0], "/")
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: p.name, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: s.name, Verb: role[0].Verbs[0], Group: role[0].APIGroups[0],
				Resource: resource, Subresource: subresource,
			},
		}}
		if err := here.client.Create(s.Context(), review); err != nil || !review.Status.Allowed {
			return fmt.Sprintf("%v: %s", err, review.Status.Reason)
		}
		return ""
	})
	return p
}

// outcome is what a command line came to.
type outcome struct {
	code           int
	stdout, stderr string
}

// does runs the plugin as the person, in the namespace.
func (p *person) does(line string) outcome {
	p.Helper()
	return plugin(p.T, append(strings.Fields(line), "--as", p.name, "-n", p.space.name)...)
}

func plugin(t *testing.T, arguments ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, filepath.Join(here.bin, "kubectl-backendtls"),
		append(arguments, "--kubeconfig", here.kubeconfig)...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatal(err)
	}
	return outcome{code: command.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

var (
	// rightLine is a line of --help about a right.
	rightLine = regexp.MustCompile(`^  ([a-z]+(?:, [a-z]+)*)  +([a-z].*)$`)
	// rightOf takes apart what it is to: resources and an API group.
	rightOf = regexp.MustCompile(`^([a-z/]+(?:, [a-z/]+)*)(?: \(([a-z0-9.]+)\))?(?:[,.;].*)?$`)
)

// rightsOf are the rights that a verb's --help names, in a role.
func rightsOf(t *testing.T, verb string) []rbacv1.PolicyRule {
	t.Helper()
	help := plugin(t, append(strings.Fields(verb), "--help")...).stdout
	_, section, found := strings.Cut(help, "\nRights")
	section, _, ended := strings.Cut(section, "\nUsage:")
	if !found || !ended {
		t.Fatalf("%s --help names no rights:\n%s", verb, help)
	}
	title, section, _ := strings.Cut(section, "\n")
	var role []rbacv1.PolicyRule
	if base, beside := strings.CutPrefix(title, ", beside those of "); beside {
		role = rightsOf(t, strings.TrimSuffix(base, ":"))
	}
	joined := regexp.MustCompile(`\n {15}`).ReplaceAllString(section, " ")
	own := 0
	for line := range strings.Lines(joined) {
		parts := rightLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if parts == nil || strings.HasPrefix(parts[2], "the same") {
			continue
		}
		to := rightOf.FindStringSubmatch(parts[2])
		if to == nil {
			t.Fatalf("%s --help: cannot read %q", verb, line)
		}
		own++
		role = append(role, rbacv1.PolicyRule{
			Verbs: strings.Split(parts[1], ", "), Resources: strings.Split(to[1], ", "), APIGroups: []string{to[2]},
		})
	}
	if own == 0 {
		t.Fatalf("%s --help names no right of its own:\n%s", verb, section)
	}
	return role
}

// without are the roles that lack one right each: all verbs on a resource, and
// each single verb on it, by what is lacking.
func without(role []rbacv1.PolicyRule) map[string][]rbacv1.PolicyRule {
	single := map[string][]string{}
	for _, rule := range role {
		for _, resource := range rule.Resources {
			at := rule.APIGroups[0] + " " + resource
			for _, verb := range rule.Verbs {
				if !slices.Contains(single[at], verb) {
					single[at] = append(single[at], verb)
				}
			}
		}
	}
	reduced := map[string][]rbacv1.PolicyRule{}
	for lacking, verbs := range single {
		_, name, _ := strings.Cut(lacking, " ")
		reduced[name] = rolesOf(single, lacking, verbs)
		if len(verbs) > 1 {
			for _, verb := range verbs {
				reduced[verb+" "+name] = rolesOf(single, lacking, []string{verb})
			}
		}
	}
	return reduced
}

func rolesOf(rights map[string][]string, lacking string, verbs []string) []rbacv1.PolicyRule {
	var role []rbacv1.PolicyRule
	for at, all := range rights {
		left := slices.DeleteFunc(slices.Clone(all), func(verb string) bool {
			return at == lacking && slices.Contains(verbs, verb)
		})
		group, resource, _ := strings.Cut(at, " ")
		if len(left) > 0 {
			role = append(role, rbacv1.PolicyRule{Verbs: left, Resources: []string{resource}, APIGroups: []string{group}})
		}
	}
	return role
}

// refusals are the lines on stderr of a kind that say what somebody may not.
func refusals(stderr, kind string) (lines []string) {
	for line := range strings.Lines(stderr) {
		if strings.HasPrefix(line, kind) && (strings.Contains(line, "you may not") || strings.Contains(line, "forbidden")) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// TestVerbsThatReadNeedWhatTheirHelpNames: with it they say all that an
// administrator is told. Without one right of it they say what is forbidden, in
// the cell and in one warning, and never something else than before.
func TestVerbsThatReadNeedWhatTheirHelpNames(t *testing.T) {
	team, _, _ := newTeam(t, 1)
	lines := map[string]string{
		"inspect svc/api": "inspect", "inspect": "inspect", "inspect --probe": "inspect", "fetch svc/api": "fetch",
		"fetch -l app!=nothing": "fetch", "verify svc/api": "verify",
	}
	full := map[string]outcome{}
	everything := team.person(rightsOf(t, "inspect"))
	for line, verb := range lines {
		person := everything
		if verb != "inspect" {
			person = team.person(rightsOf(t, verb))
		}
		told := plugin(t, append(strings.Fields(line), "-n", team.name)...)
		full[line] = person.does(line)
		if full[line].code != 0 || full[line].stderr != "" || masked(full[line].stdout) != masked(told.stdout) {
			t.Errorf("%s: %+v\nan administrator is told\n%+v", line, full[line], told)
		}
	}
	for lacking, role := range without(rightsOf(t, "inspect")) {
		t.Run("without "+lacking, func(t *testing.T) {
			mine := *team
			mine.T = t
			person := mine.person(role)
			for line := range lines {
				person.lacks(line, lacking, full[line])
			}
		})
	}
}

// lacks runs a command line without a right, and compares.
func (p *person) lacks(line, lacking string, full outcome) {
	p.Helper()
	got := p.does(line)
	warnings, errs := refusals(got.stderr, "warning:"), refusals(got.stderr, "error:")
	resource := lacking[strings.LastIndex(lacking, " ")+1:]
	same := got.code == full.code && masked(got.stdout) == masked(full.stdout)
	switch {
	case len(warnings) > 1 || len(errs) > 1:
		p.Errorf("%s says it more than once: %q %q", line, warnings, errs)
	case len(warnings)+len(errs) == 0 && !same:
		p.Errorf("%s says something else, and not why: %+v", line, got)
	case len(warnings) == 1 && !strings.Contains(warnings[0], strings.TrimSuffix(resource, "s")):
		p.Errorf("%s: the warning does not name %s: %q", line, resource, warnings)
	case !same && got.code == 0 && !strings.HasPrefix(line, "fetch") && !strings.Contains(got.stdout, "<forbidden>") &&
		!strings.Contains(got.stderr, "that you may see"):
		p.Errorf("%s says something else, and nothing is <forbidden>:\n%s%s", line, got.stdout, got.stderr)
	case strings.Contains(got.stdout, "no route leads") || strings.Contains(got.stderr, "No endpoints found"):
		p.Errorf("%s claims what it does not know:\n%s%s", line, got.stdout, got.stderr)
	case got.code == 1 && strings.HasPrefix(line, "verify"):
		p.Errorf("%s says no: %+v", line, got)
	}
}

// masked is an output without what changes by itself.
func masked(text string) string {
	return regexp.MustCompile(`\d+[smh]\d*[sm]?`).ReplaceAllString(text, "AGE")
}

// TestVerbsThatWriteNeedWhatTheirHelpNames: with it they write. Without one right
// of it they are refused, by a line that names it, and nothing is written.
func TestVerbsThatWriteNeedWhatTheirHelpNames(t *testing.T) {
	team, _, _ := newTeam(t, 1)
	team.apply("unpoliced.yaml", nil)
	for _, test := range []struct{ verb, line string }{
		{"pin", "pin svc/api --yes"},
		{"pin", "pin svc/unpoliced --yes --allow-unattached --hostname " + hostname},
		{"unpin", "unpin svc/api --yes"},
		{"pin", "pin svc/api --form leaf --yes"},
		{"unpin", "unpin svc/api --yes"},
		{"skip-verify on", "skip-verify on svc/api --for 10m --reason test --yes"},
		{"skip-verify off", "skip-verify off svc/api --yes"},
	} {
		role := rightsOf(t, test.verb)
		reading := len(rightsOf(t, "inspect"))
		own := map[string]bool{}
		for _, rule := range role[reading:] {
			for _, verb := range rule.Verbs {
				own[verb+" "+rule.Resources[0]] = true
			}
		}
		for lacking, less := range without(role) {
			if !own[lacking] {
				continue
			}
			before := team.policies()
			got := team.person(less).does(test.line)
			verb, _, _ := strings.Cut(lacking, " ")
			switch after := team.policies(); {
			case before != after && got.code != 0:
				t.Errorf("%s without %s: it wrote, and failed: %+v", test.line, lacking, got)
			case before != after:
				team.restore(t, test.line) // It did not need that right here, which is well.
			case len(refusals(got.stderr, "error:")) != 1 || !strings.Contains(got.stderr, verb+" "):
				t.Errorf("%s without %s: %+v", test.line, lacking, got)
			}
		}
		before := team.policies()
		if got := team.person(role).does(test.line); got.code != 0 || team.policies() == before {
			t.Errorf("%s with all rights: %+v", test.line, got)
		}
	}
}

// policies are the versions of what the verbs write.
func (s *space) policies() string {
	s.Helper()
	var list gatewayv1.BackendTLSPolicyList
	if err := here.client.List(s.Context(), &list); err != nil {
		s.Fatal(err)
	}
	var versions []string
	for i := range list.Items {
		if policy := &list.Items[i]; policy.Namespace == s.name {
			encoded, err := json.Marshal(policy.Spec)
			if err != nil {
				s.Fatal(err)
			}
			versions = append(versions, policy.Name+string(encoded))
		}
	}
	return strings.Join(versions, "\n")
}

// restore undoes what a line wrote.
func (s *space) restore(t *testing.T, line string) {
	t.Helper()
	undo := map[string]string{
		"pin svc/api":       "unpin svc/api --yes",
		"skip-verify on":    "skip-verify off svc/api --yes",
		"pin svc/unpoliced": "",
	}
	for start, with := range undo {
		if !strings.HasPrefix(line, start) {
			continue
		}
		if with == "" {
			if _, err := here.run(t.Context(), "delete", "btlspolicy/unpoliced", "-n", s.name); err != nil {
				t.Fatal(err)
			}
			return
		}
		if got := plugin(t, append(strings.Fields(with), "-n", s.name)...); got.code != 0 {
			t.Fatalf("%s: %+v", with, got)
		}
	}
}
