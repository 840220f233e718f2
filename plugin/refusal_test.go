package plugin

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/backendtls/backendtls/test/pki"
)

// write puts a file into the fixture.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace changes a text in a file; it must be there.
func replace(t *testing.T, path, old, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s does not hold %q", path, old)
	}
	write(t, path, strings.ReplaceAll(string(content), old, text))
}

const apiPolicy = "desk/apps/api-policy.yaml"

// refusal is a command line that must not change any file.
type refusal struct {
	name, line string
	prepare    func(t *testing.T)
	// want are texts in the one line of error.
	want []string
}

func wants(texts ...string) []string { return texts }

// TestNothingIsWrittenOnRefusal is about every rule of the verbs that write that
// the fixture as it is breaks. One serves them all, because none changes it.
func TestNothingIsWrittenOnRefusal(t *testing.T) {
	b := newDesk(t)
	for _, test := range refusals() {
		if test.prepare == nil {
			t.Run(test.name, func(t *testing.T) { test.check(t, b) })
		}
	}
}

// TestNothingIsWrittenOnRefusalOfFiles is about those that take other files.
func TestNothingIsWrittenOnRefusalOfFiles(t *testing.T) {
	for _, test := range refusals() {
		if test.prepare != nil {
			t.Run(test.name, func(t *testing.T) {
				b := newDesk(t)
				test.prepare(t)
				test.check(t, b)
			})
		}
	}
}

func refusals() []refusal {
	return slices.Concat(refusedCommandLines(), refusedWhereNothingBites(), refusedFiles(), refusedDecisions())
}

// check holds that there is exit code 1, one line of error that says the next
// step, nothing on stdout, and that no byte of any file changed, with and
// without --write.
func (r refusal) check(t *testing.T, b *bench) {
	t.Helper()
	before := contents(t, "desk")
	for _, more := range []string{"", " --write --yes"} {
		if strings.Contains(r.line, "--read-only") && more != "" {
			continue
		}
		code, stdout, stderr := b.run(words(b.filled(r.line) + more + " -f desk")...)
		var faults []string
		for line := range strings.Lines(stderr) {
			if strings.HasPrefix(line, "error: ") {
				faults = append(faults, line)
			}
		}
		if code != 1 || stdout != "" || len(faults) != 1 || !strings.HasSuffix(stderr, faults[0]) {
			t.Errorf("%s: exit code %d, stdout %q, stderr\n%s", r.line+more, code, stdout, stderr)
			continue
		}
		for _, want := range r.want {
			if !strings.Contains(faults[0], want) {
				t.Errorf("%s: %swant %q in it", r.line+more, faults[0], want)
			}
		}
		if changed := differences(before, contents(t, "desk")); changed != "" {
			t.Errorf("%s: files changed:\n%s", r.line+more, changed)
		}
	}
}

func refusedCommandLines() []refusal {
	return []refusal{
		{"no target", "pin", nil, wants("nothing is named: want svc/NAME[:PORT] or btlspolicy/NAME")},
		{"two targets", "pin svc/api svc/new", nil, wants("2 targets are named: name one")},
		{"no target to unpin", "unpin", nil, wants("nothing is named")},
		{"no such Service", "pin svc/apx", nil, wants("svc/apx does not exist", "did you mean svc/api?")},
		{"no such policy", "skip-verify off btlspolicy/apx", nil, wants("btlspolicy/apx does not exist", "btlspolicy/api")},
		{"no such port to close", "skip-verify off svc/shut:1", nil, wants("svc/shut has no port 1, but: svc/shut:443")},
		{"no such Service to close", "skip-verify off svc/zzz", nil, wants("svc/zzz does not exist")},
		{"several ports", "pin svc/ported", nil, wants("svc/ported:443 (https), svc/ported:9443 (admin)")},
		{"an unknown form", "pin svc/api --form key", nil, wants(`--form is "key": want spki, certificate, leaf or ca`)},
		{"an unknown output format", "pin svc/api -o wide", nil, wants(`-o is "wide": want one of yaml, json`)},
		{"an unknown kind of dry run", "pin svc/api --dry-run=server", nil, wants("want none or client")},
		{"a missing file of the next key", "pin svc/api --and-next gone.pem", nil, wants("--and-next", "gone.pem: no such file")},
		{"no key in the file of the next key", "pin svc/api --and-next desk/new.yaml", nil, wants("desk/new.yaml", "no PEM block")},
		{"nothing to do", "skip-verify sideways svc/api", nil, wants("skip-verify on TARGET")},
		{"no duration", "skip-verify on svc/api --reason x", nil, wants("--for is missing or 0", "--for 2h")},
		{"a duration of nothing", "skip-verify on svc/api --for 0 --reason x", nil, wants("--for is missing or 0", "--for 2h")},
		{
			"a duration in days", "skip-verify on svc/api --for 2d --reason x", nil,
			wants(`--for is "2d": want hours, minutes or seconds, such as 2h`, "a day is 24h"),
		},
		{"a timeout without a unit", "pin svc/api --probe-timeout 5", nil, wants(`--probe-timeout is "5": want hours, minutes or seconds`)},
		{"a wait in words", "pin svc/api --wait long", nil, wants(`--wait is "long": want hours, minutes or seconds`)},
		{"a short duration", "skip-verify on svc/api --for 10ms --reason x", nil, wants("--for is 10ms: want at least a second")},
		{"what is skipped is unknown", "skip-verify on svc/api --for 1h --only date", nil, wants(`--only is "date": want expiry or name`)},
		{
			"a reason that is too long", "skip-verify on svc/api --for 1h --reason " + strings.Repeat("x", 257), nil,
			wants("--reason has 257 characters: want at most 256"),
		},
		{"a pin that is none", "unpin svc/rotate abc", nil, wants(`pin "abc": unknown form`)},
		{"read-only and write", "pin svc/api --read-only --write", nil, wants("--read-only and --write contradict each other")},
		{
			"a name for a policy that exists", "pin svc/api --policy-name x", nil,
			wants("--policy-name is for a policy that is created", "btlspolicy/api"),
		},
		{
			"a hostname for a policy that exists", "skip-verify on svc/api --for 1h --reason x --hostname x", nil,
			wants("--hostname is for a policy that is created", "btlspolicy/api"),
		},
		{"a name that is taken", "pin svc/new --policy-name api", nil, wants(apiPolicy, "choose another --policy-name")},
		{"a name that is none", "pin svc/new --policy-name A_B", nil, wants(`--policy-name is "A_B"`)},
		{"a hostname that is none", "pin svc/new --hostname 10.0.0.1", nil, wants("--hostname", "DNS name")},
		{"an address for several ports", "pin svc/whole:443 --address 10.1.3.1:8443", nil, wants("btlspolicy/whole decides about 2")},
	}
}

func refusedWhereNothingBites() []refusal {
	portable := "ignores backendtls.dev options. Portable: kubectl backendtls pin svc/foreign --form ca"
	return []refusal{
		{
			"pin where another controller rules", "pin svc/foreign", nil,
			wants("svc/foreign is reached through gateway/mesh (istio.io/gateway-controller), which " + portable),
		},
		{
			"pin where another controller rules, all the same", "pin svc/foreign --allow-unattached --replace", nil,
			wants("which " + portable),
		},
		{
			"skip-verify where another controller rules", "skip-verify on svc/foreign --for 1h --reason x", nil,
			wants("gateway/mesh (istio.io/gateway-controller)", portable),
		},
		{"no Gateway", "pin svc/lonely", nil, wants("svc/lonely is reached through no Gateway", "--allow-unattached", "pin svc/lonely --form ca")},
		{
			"no Gateway to skip for", "skip-verify on svc/lonely --for 1h --reason x", nil,
			wants("svc/lonely is reached through no Gateway", "--allow-unattached"),
		},
		{
			"a class that is not in the files", "pin svc/edge", nil,
			wants("svc/edge is reached through gateway/edge, whose GatewayClass elsewhere is not in the files", "--allow-unattached"),
		},
		{"two targets of a policy", "pin svc/one", nil, wants("btlspolicy/both has 2 targets", "--all-targets")},
		{"two targets of a policy to unpin", "unpin svc/one", nil, wants("btlspolicy/both has 2 targets")},
		{
			"two targets of a policy to skip", "skip-verify on svc/one --for 1h --reason x", nil,
			wants("btlspolicy/both has 2 targets"),
		},
		{
			"a policy that decides nothing", "pin btlspolicy/rivals-late", nil,
			wants("btlspolicy/rivals-late decides about no port: svc/rivals:443 is decided by btlspolicy/rivals"),
		},
		{
			"a Gateway without GatewayParameters", "skip-verify on svc/narrow --for 1h --reason x", nil,
			wants("nothing was written: gateway/infra/strict does not allow InsecureSkipVerification",
				"no GatewayParameters with spec.backendTLS is referred to by", "who may write"),
		},
		{
			"longer than allowed", "skip-verify on svc/api --for 25h --reason x", nil,
			wants("gateway/default/web does not allow InsecureSkipVerification",
				"gatewayparameters/default/modes spec.backendTLS.maxDuration is 24h, but mode-until - mode-since is 25h0m0s",
				"who may write that GatewayParameters may change the rule. --for is 25h: allowed is at most 24h"),
		},
		{
			"no reason where one is wanted", "skip-verify on svc/api --for 1h", nil,
			wants("gatewayparameters/default/modes spec.backendTLS.requireReason requires backendtls.dev/mode-reason",
				"--reason is missing: say why"),
		},
		{
			"another mode than allowed", "skip-verify on svc/api --for 1h --reason x --only expiry",
			func(t *testing.T) { replace(t, "desk/gateways.yaml", "InsecureAllowExpired, ", "") },
			wants("gateway/default/web does not allow InsecureAllowExpired", "allowedModes has only InsecureSkipVerification",
				"--only expiry is not allowed; allowed: --only name or leaving out --only"),
		},
		{
			"everything skipped where less is allowed", "skip-verify on svc/api --for 1h --reason x",
			func(t *testing.T) { replace(t, "desk/gateways.yaml", "InsecureSkipVerification, ", "") },
			wants("leaving out --only is not allowed; allowed: --only "),
		},
		{
			"another namespace than allowed", "skip-verify on svc/far -n shop --for 1h --reason x",
			func(t *testing.T) {
				replace(t, "desk/gateways.yaml", "    maxDuration: 24h", "    maxDuration: 24h\n    namespaces: {matchLabels: {env: dev}}")
			},
			wants("spec.backendTLS.namespaces (env=dev) does not select the policy's namespace shop"),
		},
		{
			"a mode without a meaning", "skip-verify on svc/good --for 1h --reason x --only name", nil,
			wants("InsecureSkipOnlySANVerification has no meaning with pins alone"),
		},
		{
			"a name to skip under System", "skip-verify on svc/far -n shop --for 1h --reason x --only name", nil,
			wants("would accept any certificate that any public CA issued"),
		},
		{
			"a Gateway of which nobody knows", "skip-verify on svc/api --for 1h --reason x",
			func(t *testing.T) {
				replace(t, "desk/gateways.yaml", "kind: GatewayParameters, name: modes", "kind: GatewayParameters, name: gone")
			},
			wants("gateway/default/web allows no insecure mode while its GatewayParameters cannot be used"),
		},
	}
}

const brokenRoute = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: broken}\nspec: {rules: 1}\n"

func refusedFiles() []refusal {
	policy := func(name, rest string) string {
		return "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\nmetadata: {name: " + name + "}\nspec:\n" + rest
	}
	double := policy("api", "  targetRefs: [{group: '', kind: Service, name: api}]\n"+
		"  validation: {hostname: x.example.com, wellKnownCACertificates: System}\n")
	return []refusal{
		{
			"a policy in two files", "pin svc/api", func(t *testing.T) { write(t, "desk/zz.yaml", double) },
			wants("btlspolicy/api cannot be changed before it is repaired: given twice, in " + apiPolicy + ":3 and desk/zz.yaml:1"),
		},
		{
			"a policy in two files to close", "skip-verify off btlspolicy/api",
			func(t *testing.T) {
				write(t, "desk/zz.yaml", strings.Replace(double, "  validation", "  options: {backendtls.dev/mode: x}\n  validation", 1))
			},
			wants("given 2 times, in " + apiPolicy + ":3 and desk/zz.yaml:1: keep one of them first"),
		},
		{
			"a policy with a fault", "unpin svc/rotate",
			func(t *testing.T) { replace(t, "desk/rotate.yaml", "    hostname: good.example.com\n", "") },
			wants("btlspolicy/rotate cannot be changed before it is repaired", "hostname"),
		},
		{
			"a broken document", "pin svc/new", func(t *testing.T) { write(t, "desk/zz.yaml", "a: [\n") },
			wants("desk/zz.yaml:", "must be repaired first: nobody knows whether it holds something about svc/new"),
		},
		{
			"a broken document behind the policy", "unpin svc/rotate",
			func(t *testing.T) {
				replace(t, "desk/rotate.yaml", "apiVersion: v1\nkind: Service", "kind: [\n---\napiVersion: v1\nkind: Service")
			},
			wants("svc/rotate does not exist"),
		},
		{
			"a policy that may target anything", "pin svc/new",
			func(t *testing.T) { write(t, "desk/zz.yaml", policy("zz", "  validation: {}\n")) },
			wants("btlspolicy/zz must be repaired first: nobody knows whether it targets svc/new"),
		},
		{
			"a route that may lead to it", "pin svc/api", func(t *testing.T) { write(t, "desk/zz.yaml", brokenRoute) },
			wants("desk/zz.yaml:4 must be repaired first: nobody knows whether httproute/default/broken leads to svc/api"),
		},
		{
			"a route that may lead to it, to skip", "skip-verify on svc/api --for 1h --reason x",
			func(t *testing.T) { write(t, "desk/zz.yaml", brokenRoute) }, wants("nobody knows whether httproute/default/broken leads"),
		},
		{
			"endpoints that nobody can read", "pin svc/api",
			func(t *testing.T) {
				write(t, "desk/zz.yaml", "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: zz}\naddressType: IPv4\nendpoints: 1\n")
			},
			wants("nobody knows whether endpointslice/default/zz has endpoints of svc/api"),
		},
		{
			"a ConfigMap of others", "pin svc/api --form leaf",
			func(t *testing.T) {
				write(t, "desk/zz.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: api-backendtls}\ndata: {ca.crt: mine}\n")
			},
			wants("configmap/api-backendtls exists and is not this plugin's", "rename it"),
		},
		{
			"a ConfigMap that nobody can read", "pin svc/api --form leaf",
			func(t *testing.T) {
				write(t, "desk/zz.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: api-backendtls}\ndata: 1\n")
			},
			wants("configmap/api-backendtls cannot be changed before it is repaired"),
		},
		{
			"what an anchor shares", "pin svc/rotate",
			func(t *testing.T) {
				replace(t, "desk/rotate.yaml", "  options:\n", "  options: &shared\n")
				content, err := os.ReadFile("desk/rotate.yaml")
				if err != nil {
					t.Fatal(err)
				}
				i := strings.LastIndex(string(content), "---\n") + len("---\n")
				list := "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(string(content[i:])), "\n", "\n  ") +
					"\n- apiVersion: other/v1\n  kind: Other\n  metadata: {name: x}\n  same: *shared\n"
				write(t, "desk/rotate.yaml", string(content[:i])+list)
			},
			wants("desk/rotate.yaml:", "cannot be changed in place", "write out what it stands for"),
		},
	}
}

func refusedDecisions() []refusal {
	return []refusal{
		{
			"an endpoint that is silent", "pin svc/quiet", nil,
			wants("1 of 2 endpoints gave no certificate and would be refused from now on", "10.1.15.2:8443"),
		},
		{
			"no endpoint", "pin svc/new", func(t *testing.T) {
				replace(t, "desk/new.yaml", "addresses: [10.1.1.1]", "conditions: {ready: false}, addresses: [10.1.1.1]")
			},
			wants("svc/new:443 has no ready endpoint", "--address HOST:PORT"),
		},
		{"a key change", "pin svc/pinned", nil, wants("this is a key change", "add --replace", "--yes alone does not replace a key")},
		{"a key change to a CA", "pin svc/pinned --form leaf", nil, wants("this is a key change")},
		{
			"a key change of a policy that is refused", "pin svc/pinned",
			func(t *testing.T) {
				replace(t, "desk/pinned.json", `"backendtls.dev/pins"`, `"backendtls.dev/min-tls-version": "1.2", "backendtls.dev/pins"`)
			},
			wants("this is a key change"),
		},
		{"a key for each of three", "pin svc/triple", nil, wants("each of the 3 endpoints serves a key of its own: a new pod will not match; use --form ca")},
		{"no CA", "pin svc/api --form ca", nil, wants("presents no certificate of a CA: use --form leaf")},
		{"a CA and another name", "pin svc/whole --form ca", nil, wants("svc/whole has several ports")},
		{"a CA that vouches for another name", "pin svc/ported:443 --form ca", nil, wants("10.1.2.1:8443 does not verify against the CA that it presents", "ported.default.svc")},
		{"the next key of a CA", "pin svc/good --form ca --and-next desk/next.pem", nextKey, wants("leave --and-next out")},
		{"the next key of a certificate", "pin svc/good --form certificate --and-next desk/next.pem", nextKey, wants("needs the next certificate")},
		{"no pins", "unpin svc/api", nil, wants("btlspolicy/api has no pins")},
		{"no policy", "unpin svc/new", nil, wants("svc/new:443 has no policy")},
		{"no trust without pins", "unpin svc/good", nil, wants("btlspolicy/good trusts nothing but its pins", "pin --form ca")},
		{"the last pin", "unpin svc/rotate @spki:good@ @cert:other@", nil, wants("the last pin of btlspolicy/rotate")},
		{"a pin of others", "unpin svc/rotate @spki:api@", nil, wants("is not a pin of btlspolicy/rotate; its pins are spki-sha256:")},
		{
			"a change that the API refuses", "pin svc/api",
			func(t *testing.T) {
				options := "\n    options:"
				for key := range strings.SplitSeq("abcdefghijklmno", "") {
					options += "\n        example.com/" + key + ": x"
				}
				replace(t, apiPolicy, "    # options: none yet", strings.TrimPrefix(options, "\n"))
			},
			wants("the change is refused, because of what would follow", "at most 16"),
		},
		{
			"a change because of which a Gateway would answer 500", "pin svc/api",
			func(t *testing.T) {
				replace(t, apiPolicy, "    # options: none yet", "    options: {backendtls.dev/mode: InsecureAllowExpired, "+
					"backendtls.dev/mode-since: '2026-11-21T11:00:00Z', backendtls.dev/mode-until: '2026-11-21T13:00:00Z', backendtls.dev/mode-reason: x}")
			},
			wants("the change is refused: gateway/web answers 500 for svc/api:443", "has no meaning with pins alone"),
		},
	}
}

func nextKey(t *testing.T) {
	t.Helper()
	key, err := pki.NewKey(pki.P256)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := pki.PublicKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join("desk", "next.pem"), string(encoded))
}

func TestAFileThatNobodyReadsIsNotReplaced(t *testing.T) {
	b := newDesk(t)
	write(t, "desk/new.backendtls.yaml", "mine: 1\n")
	before := contents(t, "desk")
	for _, more := range []string{"", "--write --yes"} {
		code, stdout, stderr := b.run(words("pin svc/new --allow-unattached -f desk/new.yaml " + more)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "desk/new.backendtls.yaml exists, but -f desk/new.yaml does not read it: use -f desk") {
			t.Errorf("exit code %d, stdout %q, stderr\n%s", code, stdout, stderr)
		}
	}
	if changed := differences(before, contents(t, "desk")); changed != "" {
		t.Errorf("files changed:\n%s", changed)
	}
	// Read with the directory, it gets a document at its end.
	write(t, "desk/new.backendtls.yaml", "# mine\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}")
	if code, _, stderr := b.run(words("pin svc/new -f desk --write --yes")...); code != 0 {
		t.Fatal(stderr)
	}
	content, err := os.ReadFile("desk/new.backendtls.yaml")
	if err != nil || !strings.HasPrefix(string(content), "# mine\napiVersion: v1\nkind: Namespace\nmetadata: {name: x}\n---\napiVersion") {
		t.Errorf("%v\n%s", err, content)
	}
}

func TestAFaultThatWasThereBeforeIsSaidAndDoesNotStandInTheWay(t *testing.T) {
	b := newDesk(t)
	code, stdout, stderr := b.run(words("pin svc/shut -f desk --write --yes")...)
	if code != 0 || !strings.Contains(stderr, "That alone does not help: gateway/infra/strict answers 500 for svc/shut:443") {
		t.Errorf("exit code %d: %s\n%s", code, stdout, stderr)
	}
}

// TestOffAlwaysWorks: closing is in nobody's way.
func TestOffAlwaysWorks(t *testing.T) {
	const shut = "desk/shut.yaml"
	for name, test := range map[string]struct {
		target  string
		prepare func(t *testing.T)
	}{
		"where the Gateway does not allow the mode": {"svc/shut", func(*testing.T) {}},
		"by the policy": {"btlspolicy/shut", func(*testing.T) {}},
		"without a route": {"svc/shut", func(t *testing.T) {
			replace(t, shut, "parentRefs: [{name: strict, namespace: infra}]", "parentRefs: [{name: gone}]")
		}},
		"without the Service": {"svc/shut", func(t *testing.T) { replace(t, shut, "kind: Service\nmetadata", "kind: Ingress\nmetadata") }},
		"of a port that the Service lacks": {"svc/shut", func(t *testing.T) {
			replace(t, shut, "kind: Service, name: shut}", "kind: Service, name: shut, sectionName: gone}")
		}},
		"without the CA":                    {"svc/shut", func(t *testing.T) { replace(t, shut, "kind: ConfigMap, name: ca", "kind: ConfigMap, name: gone") }},
		"without a hostname":                {"svc/shut", func(t *testing.T) { replace(t, shut, "    hostname: shut.example.com\n", "") }},
		"with a hostname of the wrong type": {"svc/shut", func(t *testing.T) { replace(t, shut, "hostname: shut.example.com", "hostname: [1]") }},
		"with a mode that is none":          {"svc/shut", func(t *testing.T) { replace(t, shut, "mode: InsecureSkipVerification", "mode: Whatever") }},
		"with a time that is none":          {"svc/shut", func(t *testing.T) { replace(t, shut, "2026-11-21T13:00:00Z", "tomorrow") }},
		"with options that are too many": {"svc/shut", func(t *testing.T) {
			more := "  options:\n"
			for key := range strings.SplitSeq("abcdefghijklmnopqrstuvw", "") {
				more += "    example.com/" + key + ": x\n"
			}
			replace(t, shut, "  options:\n", more)
		}},
		"with unknown options": {"svc/shut", func(t *testing.T) { replace(t, shut, "  options:\n", "  options:\n    backendtls.dev/nonsense: x\n") }},
		"with several targets": {"svc/shut", func(t *testing.T) {
			replace(t, shut, "kind: Service, name: shut}", "kind: Service, name: shut}\n  - {group: \"\", kind: Service, name: one}")
		}},
		"with a broken file beside it":   {"svc/shut", func(t *testing.T) { write(t, "desk/zz.yaml", "a: [\n") }},
		"with a faulty object beside it": {"svc/shut", func(t *testing.T) { write(t, "desk/zz.yaml", brokenRoute) }},
		"with a broken status": {"svc/shut", func(t *testing.T) {
			if err := os.MkdirAll("desk/.backendtls/status", 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, "desk/.backendtls/status/BackendTLSPolicy.default.shut.yaml", "a: [\n")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newDesk(t)
			test.prepare(t)
			before := contents(t, "desk")
			code, stdout, stderr := b.run("skip-verify", "off", test.target, "-f", "desk", "--write")
			if code != 0 || !strings.Contains(stdout, "btlspolicy/shut has no mode any more (desk/shut.yaml)") {
				t.Fatalf("exit code %d: %s\n%s", code, stdout, stderr)
			}
			changed := differences(before, contents(t, "desk"))
			if strings.Contains(changed, "\n+") || strings.Count(changed, "\n-    backendtls.dev/mode") != 4 ||
				strings.Count(changed, "--- ") != 1 {
				t.Errorf("changed:\n%s", changed)
			}
		})
	}
}
