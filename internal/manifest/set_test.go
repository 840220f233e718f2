package manifest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/manifest"
)

func tlsPolicy(name, target, hostname string) string {
	return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: " + name + "}\n" +
		"spec:\n  targetRefs: [{group: \"\", kind: Service, name: " + target + "}]\n" +
		"  validation: {hostname: " + hostname + ", wellKnownCACertificates: System}\n"
}

func tlsSecret(name, value string) string {
	return "---\napiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\nstringData: {k: " + value + "}\n"
}

func httpService(name string, port int) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: %d}]}\n", name, port)
}

// after combines the files of each step with the Set of the step before.
func after(steps ...map[string]string) (*manifest.Set, []manifest.Problem) {
	var set *manifest.Set
	var problems []manifest.Problem
	for _, files := range steps {
		var parsed []manifest.Parsed
		for _, path := range []string{"a.yaml", "b.yaml", "c.yaml"} {
			if data, found := files[path]; found {
				parsed = append(parsed, manifest.ParseFile(manifest.File{Path: path, Data: []byte(data)}))
			}
		}
		set, problems = manifest.Combine(parsed, set)
	}
	return set, problems
}

func TestWhatBecomesOfAnObjectThatIsNotGood(t *testing.T) {
	policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "x")
	secret := gwapi.KeyOf(gwapi.KindSecret, "default", "x")
	service := gwapi.KeyOf(gwapi.KindService, "default", "x")
	good := map[string]string{"a.yaml": tlsPolicy("x", "one", "a.example") + tlsSecret("x", "v") + httpService("x", 1)}
	invalid := map[string]string{"a.yaml": tlsPolicy("x", "two", "-") + tlsSecret("x", "[v]") + httpService("x", 0)}
	twice := map[string]string{
		"a.yaml": good["a.yaml"],
		"b.yaml": tlsPolicy("x", "two", "b.example") + tlsSecret("x", "w") + httpService("x", 2),
	}
	for name, row := range map[string]struct {
		steps []map[string]string
		// targets are those of the policy, port that of the Service (0: absent);
		// faults are the objects that fail closed.
		targets string
		secret  string
		port    int32
		faults  string
	}{
		"invalid from the start": {[]map[string]string{invalid}, "[two]", "", 0, "[policy secret]"},
		"invalid after it was good": {
			[]map[string]string{good, invalid}, "[one]", "v", 1, "[]",
		},
		"twice from the start":    {[]map[string]string{twice}, "[one two]", "", 0, "[policy secret]"},
		"twice after it was good": {[]map[string]string{good, twice}, "[one two]", "", 1, "[policy secret]"},
		"invalid after it was twice after it was good": {
			[]map[string]string{good, twice, invalid}, "[one]", "v", 1, "[]",
		},
		"invalid after it was gone": {
			[]map[string]string{good, {}, invalid}, "[two]", "", 0, "[policy secret]",
		},
		"good after all that": {[]map[string]string{invalid, twice, good}, "[one]", "v", 1, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := after(row.steps...)
			s := set.Snapshot()
			var targets []string
			found, ok := s.TLSPolicies.Get(policy.NamespacedName())
			if !ok {
				t.Fatal("no policy")
			}
			for _, ref := range found.Spec.TargetRefs {
				targets = append(targets, string(ref.Name))
			}
			if fmt.Sprint(targets) != row.targets {
				t.Errorf("targets %v, want %s", targets, row.targets)
			}
			kept, ok := s.Secrets.Get(secret.NamespacedName())
			if !ok || string(kept.Data["k"]) != row.secret {
				t.Errorf("secret %v %v, want %q", ok, kept, row.secret)
			}
			var port int32
			if found, ok := s.Services.Get(service.NamespacedName()); ok {
				port = found.Spec.Ports[0].Port
			}
			if port != row.port {
				t.Errorf("port %d, want %d", port, row.port)
			}
			faults := []string{}
			for name, key := range map[string]gwapi.Key{"policy": policy, "secret": secret, "service": service} {
				if s.Faults[key] != "" {
					faults = append(faults, name)
				}
			}
			if len(faults) == 2 && faults[0] > faults[1] {
				faults[0], faults[1] = faults[1], faults[0]
			}
			if fmt.Sprint(faults) != row.faults {
				t.Errorf("faults %v, want %s", s.Faults, row.faults)
			}
		})
	}
}

func TestAPolicyThatMayHaveMovedIsNotGivenUp(t *testing.T) {
	policy := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "x")
	secret := gwapi.KeyOf(gwapi.KindSecret, "default", "x")
	before := map[string]string{"a.yaml": tlsPolicy("x", "one", "a.example") + tlsSecret("x", "v"), "b.yaml": ""}
	broken := map[string]string{"b.yaml": "<<<<<<< HEAD\na: b\n" + before["a.yaml"]}
	kept := func(set *manifest.Set) string {
		_, hasPolicy := set.Get(policy)
		_, hasSecret := set.Get(secret)
		return fmt.Sprint(hasPolicy, hasSecret)
	}
	for name, row := range map[string]struct {
		steps []map[string]string
		want  string
	}{
		"gone, and every file is understood":  {[]map[string]string{before, {"b.yaml": ""}}, "false false"},
		"gone while a file is not understood": {[]map[string]string{before, broken}, "true false"},
		"still so a while later":              {[]map[string]string{before, broken, broken}, "true false"},
		"gone once the file is understood":    {[]map[string]string{before, broken, {"b.yaml": ""}}, "false false"},
		"there again once it is repaired": {
			[]map[string]string{before, broken, {"b.yaml": before["a.yaml"]}}, "true true",
		},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := after(row.steps...)
			if got := kept(set); got != row.want {
				t.Errorf("policy and secret are there: %s, want %s", got, row.want)
			}
		})
	}
}

func TestADuplicateNamesEveryPlace(t *testing.T) {
	_, problems := after(map[string]string{
		"a.yaml": httpService("x", 1) + httpService("z", 1), "b.yaml": httpService("x", 1), "c.yaml": "# c\n" + httpService("x", 1),
	})
	if len(problems) != 1 {
		t.Fatal(problems)
	}
	want := "b.yaml:2: service/default/x: given 3 times, in a.yaml:2, b.yaml:2 and c.yaml:3; keep one of them"
	if problems[0].String() != want || problems[0].Class != manifest.Duplicate {
		t.Errorf("got %s, want %s", problems[0], want)
	}
}

func TestTheOrderOfFilesAndDocumentsDoesNotMatter(t *testing.T) {
	documents := []string{
		tlsPolicy("x", "one", "a.example"), tlsSecret("x", "v"), httpService("x", 1), httpService("z", 2), tlsSecret("z", "w"),
	}
	one, _ := after(map[string]string{"a.yaml": strings.Join(documents, "")})
	other, _ := after(map[string]string{"a.yaml": documents[4] + documents[2], "b.yaml": documents[1] + documents[3] + documents[0]})
	if !one.SameObjects(other) {
		t.Error("they differ")
	}
	changed, _ := after(map[string]string{"a.yaml": strings.Join(documents[1:], "")})
	if one.SameObjects(changed) || changed.SameObjects(one) {
		t.Error("a missing object is not noticed")
	}
	if diff := cmp.Diff(one.Keys(), other.Keys()); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsSalvagedOfAPolicyFailsClosedWhereItWasMeantTo(t *testing.T) {
	for name, row := range map[string]struct{ spec, want string }{
		"a single reference in place of a list": {"targetRefs: {kind: Service, name: api}", "[api/]"},
		"no kind":                               {"targetRefs: [{name: api, sectionName: https}]", "[api/https]"},
		"a section that is a number":            {"targetRefs: [{group: '', kind: Service, name: api, sectionName: 443}]", "[api/]"},
		"one reference that is text":            {"targetRefs: [api, {group: '', kind: Service, name: b}]", "[/ b/]"},
		"a name that is a number, of two":       {"targetRefs: [{name: api}, {name: 8080}]", "[api/ /]"},
		"a name that is misspelt, of two":       {"targetRefs: [{name: api}, {nam: b}]", "[api/ /]"},
		"nothing":                               {"validation: {}", "[]"},
		"options and validation of wrong types": {"targetRefs: [{name: api}], options: {a: 1, b: c}, validation: []", "[api/]"},
	} {
		t.Run(name, func(t *testing.T) {
			set, problems := after(map[string]string{"a.yaml": "apiVersion: gateway.networking.k8s.io/v1\n" +
				"kind: BackendTLSPolicy\nmetadata: {name: x}\nspec: {" + row.spec + "}\n"})
			if len(problems) == 0 {
				t.Fatal("valid")
			}
			policy, found := set.Snapshot().TLSPolicies.Get(types.NamespacedName{Namespace: "default", Name: "x"})
			if !found {
				t.Fatal("absent")
			}
			targets := []string{}
			for _, ref := range policy.Spec.TargetRefs {
				section := ""
				if ref.SectionName != nil {
					section = string(*ref.SectionName)
				}
				targets = append(targets, string(ref.Name)+"/"+section)
			}
			if fmt.Sprint(targets) != row.want {
				t.Errorf("targets %v, want %s", targets, row.want)
			}
		})
	}
}

func TestAPolicyUnderASlightlyWrongNameIsNotOverlooked(t *testing.T) {
	for name, row := range map[string]struct {
		apiVersion, kind string
		other            bool
	}{
		"another case":           {apiVersion: "gateway.networking.k8s.io/v1", kind: "BackendTlsPolicy"},
		"the plural":             {apiVersion: "gateway.networking.k8s.io/v1", kind: "BackendTLSPolicies"},
		"the group's case":       {apiVersion: "Gateway.networking.k8s.io/v1", kind: "BackendTLSPolicy"},
		"the experimental group": {apiVersion: "gateway.networking.x-k8s.io/v1alpha1", kind: "BackendTLSPolicy"},
		"an experimental kind":   {apiVersion: "gateway.networking.x-k8s.io/v1alpha1", kind: "XMesh", other: true},
		"somebody else's":        {apiVersion: "example.com/v1", kind: "BackendTLSPolicy", other: true},
	} {
		t.Run(name, func(t *testing.T) {
			set, problems := after(map[string]string{"a.yaml": "apiVersion: " + row.apiVersion + "\nkind: " + row.kind +
				"\nmetadata: {name: x}\nspec: {targetRefs: [{group: '', kind: Service, name: api}], " +
				"validation: {hostname: api.example.com, wellKnownCACertificates: System}}\n"})
			key := gwapi.KeyOf(gwapi.KindBackendTLSPolicy, "default", "x")
			snap := set.Snapshot()
			policy, found := snap.TLSPolicies.Get(key.NamespacedName())
			if row.other {
				if found || len(problems) > 0 {
					t.Errorf("taken for a policy: %v", problems)
				}
				return
			}
			if !found || len(policy.Spec.TargetRefs) != 1 || snap.Faults[key] == "" {
				t.Fatalf("found %t, faults %v", found, snap.Faults)
			}
			if !strings.Contains(snap.Faults[key], "a.yaml:2: ") ||
				!strings.Contains(snap.Faults[key], "write gateway.networking.k8s.io/v1 BackendTLSPolicy") {
				t.Errorf("fault %q", snap.Faults[key])
			}
		})
	}
}
