package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/snapshot"
	"github.com/backendtls/backendtls/operator/files"
)

func TestAnEmptyDirectoryIsAnEmptySnapshot(t *testing.T) {
	b := start(t, t.TempDir())
	b.signalled()
	s := b.Snapshot()
	if s == nil || s.Services.Len() != 0 || !s.Site.Standalone {
		t.Fatalf("got %+v", s)
	}
	if roots, found := s.ConfigMaps.Get(types.NamespacedName{
		Namespace: "backendtls-system", Name: "system-roots",
	}); !found || !strings.Contains(roots.Data["ca.crt"], "BEGIN CERTIFICATE") {
		t.Error("the system roots are not there")
	}
}

func TestFilesAreFoundWhereverTheyAppear(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), service("a"))
	b := start(t, dir)
	b.see("a", func(s *snapshot.Snapshot) bool { return has(s, "a") })
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a new file", func() { write(t, filepath.Join(dir, "b.yml"), service("b")) }, "[a b]"},
		{"a new directory below a new one", func() {
			write(t, filepath.Join(dir, "sub", "deep", "c.json"),
				`{"apiVersion":"v1","kind":"Service","metadata":{"name":"c"},"spec":{"ports":[{"port":1}]}}`)
		}, "[a b c]"},
		{"a file in a directory that was new", func() {
			write(t, filepath.Join(dir, "sub", "deep", "d.yaml"), service("d"))
		}, "[a b c d]"},
		{"a hidden file and another suffix", func() {
			write(t, filepath.Join(dir, ".e.yaml"), service("e"))
			write(t, filepath.Join(dir, "e.txt"), service("e"))
			write(t, filepath.Join(dir, ".git", "e.yaml"), service("e"))
		}, "[a b c d]"},
		{"a renamed directory", func() { rename(t, filepath.Join(dir, "sub"), filepath.Join(dir, "sup")) }, "[a b c d]"},
		{"a file in the renamed directory", func() {
			write(t, filepath.Join(dir, "sup", "deep", "e.yaml"), service("e"))
		}, "[a b c d e]"},
		{"a replaced file", func() {
			write(t, filepath.Join(dir, "b.tmp"), service("z"))
			rename(t, filepath.Join(dir, "b.tmp"), filepath.Join(dir, "b.yml"))
		}, "[a c d e z]"},
		{"a removed directory", func() {
			if err := os.RemoveAll(filepath.Join(dir, "sup")); err != nil {
				t.Fatal(err)
			}
		}, "[a z]"},
		{"a removed file", func() {
			if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
				t.Fatal(err)
			}
		}, "[z]"},
	} {
		step.do()
		b.barrier()
		b.see(step.name, func(s *snapshot.Snapshot) bool { return fmt.Sprint(names(s)) == step.want })
	}
}

func TestAMovedObjectNeverVanishes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	for i := range 10 {
		from, to := filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml")
		if i%2 == 1 {
			from, to = to, from
		}
		rename(t, from, to)
		// An editor's way of saving: away, and a new one in its place.
		rename(t, to, to+"~")
		write(t, to, policy("api", "api", fmt.Sprintf("host-%d.example", i)))
		if err := os.Remove(to + "~"); err != nil {
			t.Fatal(err)
		}
		b.see("the new hostname", func(s *snapshot.Snapshot) bool {
			if s.TLSPolicies.Len() != 1 || len(s.Faults) != 0 {
				t.Fatalf("%d policies, faults %v", s.TLSPolicies.Len(), s.Faults)
			}
			return string(s.TLSPolicies.Sorted()[0].Spec.Validation.Hostname) == fmt.Sprintf("host-%d.example", i)
		})
	}
}

func TestABrokenFileKeepsItsObjectsAndNothingElse(t *testing.T) {
	for name, content := range map[string]string{
		"a syntax error":          service("a") + "---\nkind: [unclosed\n",
		"half a document":         "apiVersion: v1\nkind: Serv",
		"a document without name": "apiVersion: v1\nkind: Service\nmetadata: {}\n",
		"an alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n" + bomb("b", "a") + bomb("c", "b") + bomb("d", "c") +
			bomb("e", "d") + bomb("f", "e") + bomb("g", "f") + "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.yaml")
			write(t, path, service("a")+service("b"))
			write(t, filepath.Join(dir, "other.yaml"), service("other"))
			b := start(t, dir)
			b.see("all three", func(s *snapshot.Snapshot) bool { return len(names(s)) == 3 })
			write(t, path, content)
			write(t, filepath.Join(dir, "other.yaml"), service("changed"))
			b.eventually("the problem is logged", func() bool { return len(b.logs.with("a file cannot be used")) == 1 })
			line := b.logs.with("a file cannot be used")[0]
			if number, ok := line["line"].(float64); line["file"] != path || !ok || number < 1 {
				t.Errorf("logged %v, want the file and a line", line)
			}
			b.see("a and b stay, the other file is read", func(s *snapshot.Snapshot) bool {
				return fmt.Sprint(names(s)) == "[a b changed]"
			})
			b.barrier()
			if n := len(b.logs.with("a file cannot be used")); n != 1 {
				t.Errorf("logged %d times, want once", n)
			}
			write(t, path, service("a"))
			b.see("the repaired file", func(s *snapshot.Snapshot) bool { return fmt.Sprint(names(s)) == "[a changed]" })
			b.eventually("the end is logged", func() bool { return len(b.logs.with("the problems of a file are over")) == 1 })
		})
	}
}

func bomb(name, of string) string {
	return name + ": &" + name + " [" + strings.TrimSuffix(strings.Repeat("*"+of+",", 9), ",") + "]\n"
}

func TestNothingIsServedBeforeEveryFileWasReadOnce(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.yaml"), service("good"))
	write(t, filepath.Join(dir, "bad.yaml"), "kind: [")
	if err := os.Symlink("nowhere", filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	b := start(t, dir)
	b.eventually("it says what is waited for", func() bool { return len(b.logs.with("there is no configuration")) > 0 })
	want := []any{filepath.Join(dir, "bad.yaml") + ":1", filepath.Join(dir, "dangling.yaml")}
	if got := b.logs.with("there is no configuration")[0]["files"]; !slices.Equal(got.([]any), want) {
		t.Errorf("waits for %v, want %v", got, want)
	}
	if b.Snapshot() != nil {
		t.Fatal("a Snapshot without one of the files")
	}
	write(t, filepath.Join(dir, "bad.yaml"), service("bad"))
	b.eventually("only the link is waited for", func() bool {
		lines := b.logs.with("there is no configuration")
		return len(lines[len(lines)-1]["files"].([]any)) == 1
	})
	if b.Snapshot() != nil {
		t.Fatal("a Snapshot without one of the files")
	}
	b.quiet()
	if err := os.Remove(filepath.Join(dir, "dangling.yaml")); err != nil {
		t.Fatal(err)
	}
	b.signalled()
	if got := fmt.Sprint(names(b.Snapshot())); got != "[bad good]" {
		t.Errorf("got %s", got)
	}
	// From then on a new file that is broken holds nobody up.
	write(t, filepath.Join(dir, "late.yaml"), "kind: [")
	b.barrier()
}

func TestAFileThatIsBeingWrittenIsNotRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	// The beginning is a valid manifest of its own: only the writer knows that
	// there is more to come.
	writer, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.WriteString(service("early")); err != nil {
		t.Fatal(err)
	}
	if !hasLeases(t) {
		return // Then there is no more to prove than settling, which tree_test.go does.
	}
	if !files.BeingWritten(path) {
		t.Fatal("the writer was not noticed")
	}
	b.barrier()
	if s := b.Snapshot(); s.TLSPolicies.Len() != 1 || has(s, "early") {
		t.Fatal("half a file was read")
	}
	if _, err := writer.WriteString(policy("api", "api", "b.example")); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	b.see("the whole file", func(s *snapshot.Snapshot) bool {
		if s.TLSPolicies.Len() != 1 {
			t.Fatal("the policy vanished")
		}
		return has(s, "early") && s.TLSPolicies.Sorted()[0].Spec.Validation.Hostname == "b.example"
	})
}

// hasLeases says whether the file system of temporary files grants leases.
func hasLeases(t *testing.T) bool {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lease")
	write(t, path, "")
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	return err == nil
}

func TestAWriterThatOnlyKeepsTheFileOpenDoesNotPutItOffForEver(t *testing.T) {
	dir := t.TempDir()
	b := start(t, dir, files.Hasten)
	b.signalled()
	writer, err := os.Create(filepath.Join(dir, "a.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = writer.Close() }()
	if _, err := writer.WriteString(service("a")); err != nil {
		t.Fatal(err)
	}
	b.see("the quiet file", func(s *snapshot.Snapshot) bool { return has(s, "a") })
}

func TestAnEmptiedFileKeepsItsObjects(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	write(t, path, "\n")
	b.eventually("it is said", func() bool { return len(b.logs.with("a file cannot be used")) == 1 })
	b.barrier()
	if b.Snapshot().TLSPolicies.Len() != 1 {
		t.Fatal("emptying a file removed a policy")
	}
	write(t, path, "# nothing here any more\n")
	b.see("a comment says that it is meant", func(s *snapshot.Snapshot) bool { return s.TLSPolicies.Len() == 0 })
}

func TestAConfigMapVolumeIsFollowedThroughItsLinks(t *testing.T) {
	dir := t.TempDir()
	// As the kubelet does: the files are links through ..data, which is swapped.
	publish := func(version, hostname string) {
		write(t, filepath.Join(dir, version, "policy.yaml"), policy("api", "api", hostname))
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		rename(t, filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))
	}
	publish("..2026_01", "one.example")
	if err := os.Symlink("..data/policy.yaml", filepath.Join(dir, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	b := start(t, dir)
	hostname := func(want string) func(*snapshot.Snapshot) bool {
		return func(s *snapshot.Snapshot) bool {
			if s.TLSPolicies.Len() != 1 || len(s.Faults) > 0 {
				t.Fatalf("%d policies, faults %v", s.TLSPolicies.Len(), s.Faults)
			}
			return string(s.TLSPolicies.Sorted()[0].Spec.Validation.Hostname) == want
		}
	}
	b.see("the first version", hostname("one.example"))
	for i := range 5 {
		version := fmt.Sprintf("..2026_1%d", i)
		publish(version, fmt.Sprintf("host-%d.example", i))
		b.see("the next version", hostname(fmt.Sprintf("host-%d.example", i)))
	}
}

func TestADirectoryThatIsALinkIsFollowedWhenItIsSwapped(t *testing.T) {
	parent := t.TempDir()
	write(t, filepath.Join(parent, "v1", "a.yaml"), service("one"))
	write(t, filepath.Join(parent, "v2", "a.yaml"), service("two"))
	link := filepath.Join(parent, "current")
	if err := os.Symlink("v1", link); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(t.TempDir(), "state")
	b, err := open(t, link, state)
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	b.see("the first", func(s *snapshot.Snapshot) bool { return has(s, "one") })
	if err := os.Symlink("v2", link+".tmp"); err != nil {
		t.Fatal(err)
	}
	rename(t, link+".tmp", link)
	b.see("the second", func(s *snapshot.Snapshot) bool { return fmt.Sprint(names(s)) == "[two]" })
	write(t, filepath.Join(parent, "v2", "b.yaml"), service("three"))
	b.see("a change behind the new target", func(s *snapshot.Snapshot) bool {
		return fmt.Sprint(names(s)) == "[three two]"
	})
}

func TestTheSameObjectTwiceFailsClosedWhereItDecidesTrust(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), service("api")+policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	write(t, filepath.Join(dir, "b.yaml"), "# a copy\n"+policy("api", "other", "b.example")+
		strings.Replace(service("api"), "443", "80", 1))
	id := key(gwapi.KindBackendTLSPolicy, "api")
	s := b.see("the fault", func(s *snapshot.Snapshot) bool { return s.Faults[id] != "" })
	want := fmt.Sprintf("given twice, in %s:7 and %s:3; keep one of them",
		filepath.Join(dir, "a.yaml"), filepath.Join(dir, "b.yaml"))
	if s.Faults[id] != want {
		t.Errorf("fault %q, want %q", s.Faults[id], want)
	}
	both, _ := s.TLSPolicies.Get(id.NamespacedName())
	if len(both.Spec.TargetRefs) != 2 {
		t.Errorf("targets %v, want those of both places", both.Spec.TargetRefs)
	}
	api, _ := s.Services.Get(types.NamespacedName{Namespace: "default", Name: "api"})
	if len(s.Faults) != 1 || api.Spec.Ports[0].Port != 443 {
		t.Errorf("the Service is %v with faults %v, want the last good one", api.Spec.Ports, s.Faults)
	}
	if n := len(b.logs.with("an object is given more than once")); n != 2 {
		t.Errorf("logged %d duplicates, want 2", n)
	}
	if err := os.Remove(filepath.Join(dir, "b.yaml")); err != nil {
		t.Fatal(err)
	}
	b.see("one of them again", func(s *snapshot.Snapshot) bool {
		policy, _ := s.TLSPolicies.Get(id.NamespacedName())
		return len(s.Faults) == 0 && len(policy.Spec.TargetRefs) == 1
	})
}

func TestAnInvalidObjectStaysAsItLastWas(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.yaml")
	write(t, path, service("other")+policy("api", "api", "a.example"))
	b := start(t, dir)
	b.signalled()
	write(t, path, service("changed")+policy("api", "api", "-bad-")+policy("new", "new", "-bad-"))
	id := key(gwapi.KindBackendTLSPolicy, "new")
	s := b.see("the rest of the file is read", func(s *snapshot.Snapshot) bool { return has(s, "changed") })
	old, _ := s.TLSPolicies.Get(key(gwapi.KindBackendTLSPolicy, "api").NamespacedName())
	if old.Spec.Validation.Hostname != "a.example" {
		t.Errorf("hostname %s, want the last good one", old.Spec.Validation.Hostname)
	}
	never, found := s.TLSPolicies.Get(id.NamespacedName())
	if !found || len(never.Spec.TargetRefs) != 1 || never.Spec.TargetRefs[0].Name != "new" {
		t.Errorf("got %+v, want what it targets, so that it fails closed there", never)
	}
	if want := path + ":19: spec.validation.hostname: Invalid value"; !strings.HasPrefix(s.Faults[id], want) {
		t.Errorf("fault %q, want it to begin with %q", s.Faults[id], want)
	}
	if _, found := s.Faults[key(gwapi.KindBackendTLSPolicy, "api")]; found {
		t.Error("a fault on the policy that stays as it was")
	}
}

func TestOnlyAChangeOfEndpointsTellsTheSinkAndSignalsNothing(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "api.yaml"), service("api"))
	write(t, filepath.Join(dir, "slices.yaml"), slice("api-1", "api", "10.0.0.1")+slice("other-1", "other", "10.0.0.9"))
	b := start(t, dir)
	b.signalled()
	if got := b.sink.addresses("api"); fmt.Sprint(got) != "[10.0.0.1]" {
		t.Fatalf("before the first signal the sink knows %v", got)
	}
	if n := b.sink.count(); n != 2 {
		t.Fatalf("%d calls, want one for each Service", n)
	}
	write(t, filepath.Join(dir, "slices.yaml"), slice("api-1", "api", "10.0.0.2")+slice("other-1", "other", "10.0.0.9"))
	b.eventually("the new address", func() bool { return fmt.Sprint(b.sink.addresses("api")) == "[10.0.0.2]" })
	if n := b.sink.count(); n != 3 {
		t.Errorf("%d calls, want one more", n)
	}
	b.see("the Snapshot has it too", func(s *snapshot.Snapshot) bool {
		return s.EndpointSlicesOf(types.NamespacedName{Namespace: "default", Name: "api"})[0].
			Endpoints[0].Addresses[0] == "10.0.0.2"
	})
	b.quiet()
	if err := os.Remove(filepath.Join(dir, "slices.yaml")); err != nil {
		t.Fatal(err)
	}
	b.eventually("no address", func() bool { return len(b.sink.addresses("api")) == 0 && b.sink.count() == 5 })
	b.quiet()
}

func TestTouchingAFileSignalsNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "api.yaml")
	write(t, path, service("api")+slice("api-1", "api", "10.0.0.1"))
	b := start(t, dir)
	b.signalled()
	before := b.sink.count()
	write(t, path, "# another comment\n"+service("api")+slice("api-1", "api", "10.0.0.1"))
	write(t, filepath.Join(dir, "slices.yaml"), slice("x-1", "x", "10.0.0.9"))
	b.eventually("both files are read", func() bool { return len(b.sink.addresses("x")) == 1 })
	b.quiet()
	if n := b.sink.count(); n != before+1 {
		t.Errorf("%d calls, want one for the new Service alone", n-before)
	}
}

func TestAVanishedDirectoryChangesNothing(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "deploy")
	write(t, filepath.Join(dir, "a.yaml"), service("a"))
	b, err := open(t, dir, filepath.Join(parent, "state"))
	if err != nil {
		t.Fatal(err)
	}
	b.start()
	b.signalled()
	rename(t, dir, dir+".away")
	b.eventually("it is said", func() bool { return len(b.logs.with("the directory cannot be read")) == 1 })
	if !has(b.Snapshot(), "a") {
		t.Fatal("an unmounted directory removed everything")
	}
	rename(t, dir+".away", dir)
	b.eventually("its return is said", func() bool { return len(b.logs.with("the directory can be read again")) == 1 })
	b.barrier()
	b.see("it is watched again", func(s *snapshot.Snapshot) bool { return has(s, "a") })
}

func TestOtherKindsAreCountedAndAbsentNamespacesSupplied(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.yaml"), `apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec: {unknown: true}
---
apiVersion: v1
kind: Service
metadata: {name: api, namespace: shop}
spec: {ports: [{port: 80}]}
`)
	b := start(t, dir)
	b.signalled()
	lines := b.logs.with("objects of other kinds are ignored")
	if len(lines) != 1 || fmt.Sprint(lines[0]["kinds"]) != "map[Deployment.apps:1]" {
		t.Errorf("logged %v", lines)
	}
	shop, found := b.Snapshot().Namespaces.Get(types.NamespacedName{Name: "shop"})
	if !found || shop.Labels[corev1.LabelMetadataName] != "shop" {
		t.Errorf("namespace %+v", shop)
	}
}

// A merge that moves a policy and leaves conflict markers must not open what
// the policy protects, wherever the policy went.
func TestAPolicyThatMovedIntoABrokenFileStays(t *testing.T) {
	const policy = "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: p}\n" +
		"spec: {targetRefs: [{group: '', kind: Service, name: a}], " +
		"validation: {hostname: a.example, wellKnownCACertificates: System}}\n"
	for name, target := range map[string]string{"a new file": "new.yaml", "a file that was good": "a.yaml"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "a.yaml"), service("a"))
			write(t, filepath.Join(dir, "p.yaml"), policy)
			b := start(t, dir)
			b.see("the policy", func(s *snapshot.Snapshot) bool { return has(s, "a") && s.TLSPolicies.Len() == 1 })
			write(t, filepath.Join(dir, target), "<<<<<<< HEAD\na: b\n---\n"+service("a")+"---\n"+policy)
			if err := os.Remove(filepath.Join(dir, "p.yaml")); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "marker.yaml"), service("marker"))
			b.see("what came later", func(s *snapshot.Snapshot) bool { return has(s, "marker") })
			if got := b.Snapshot().TLSPolicies.Len(); got != 1 {
				t.Fatalf("%d policies", got)
			}
			write(t, filepath.Join(dir, target), service("b"))
			b.see("its removal", func(s *snapshot.Snapshot) bool { return has(s, "b") && s.TLSPolicies.Len() == 0 })
		})
	}
}
